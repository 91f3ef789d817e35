"""The shapes of the Supervisor's answers, as recorded with Core 2026.11.0, filled from the state of a house."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from ha_ssh.sim.schema import ui_schema

if TYPE_CHECKING:
    from ha_ssh.sim.house import App, House

FEATURES = ["reboot", "shutdown", "services", "network", "hostname", "timedate", "os_agent", "resolved", "disk"]

CHECKS = (
    "systemd_unit_failure",
    "network_interface_ipv4",
    "addon_pwned",
    "app_port_conflict",
    "detached_addon_removed",
    "disabled_data_disk",
    "backups",
    "docker_config",
    "deprecated_addon",
    "free_space",
    "dns_server",
    "detached_addon_missing",
    "multiple_data_disks",
    "deprecated_arch_addon",
    "duplicate_os_installation",
    "disk_lifetime",
    "dns_server_ipv6",
)

OS_VERSION = "16.3"
NEXT_SUPERVISOR = "2026.11.1"

REPOSITORIES = (
    ("core", "Official apps", "core", "https://home-assistant.io/addons", "Home Assistant"),
    (
        "5c53de3b",
        "unknown",
        "https://github.com/esphome/home-assistant-addon",
        "https://github.com/esphome/home-assistant-addon",
        "unknown",
    ),
    (
        "a0d7b954",
        "Home Assistant Community Apps",
        "https://github.com/hassio-addons/repository",
        "https://addons.community",
        "Franck",
    ),
    ("local", "Local apps", "local", "https://home-assistant.io/hassio", "you"),
)


def info(house: House) -> dict[str, Any]:
    """The answer to GET `/info`."""
    return {
        "supervisor": house.supervisor_version,
        "homeassistant": house.core_version,
        "hassos": OS_VERSION,
        "docker": "28.3.3",
        "hostname": house.hostname,
        "operating_system": f"Home Assistant OS {OS_VERSION}",
        "features": list(FEATURES),
        "machine": "raspberrypi5-64",
        "machine_id": house.machine_id,
        "arch": house.knobs.arch,
        "state": house.knobs.supervisor_state,
        "supported_arch": [house.knobs.arch],
        "supported": not house.knobs.unsupported,
        "channel": "stable",
        "logging": "info",
        "timezone": "Etc/UTC",
    }


def supervisor_info(house: House) -> dict[str, Any]:
    """The answer to GET `/supervisor/info`."""
    needed = house.knobs.update_needed
    return {
        "version": house.supervisor_version,
        "version_latest": NEXT_SUPERVISOR if needed else house.supervisor_version,
        "update_available": needed,
        "channel": "stable",
        "arch": "aarch64",
        "supported": not house.knobs.unsupported,
        "healthy": not house.knobs.unhealthy,
        "ip_address": "172.30.32.2",
        "timezone": None,
        "logging": "info",
        "debug": False,
        "debug_block": False,
        "diagnostics": None,
        "auto_update": True,
        "detect_blocking_io": False,
        "country": None,
        "feature_flags": {"supervisor_v2_api": False, "supervisor_websocket_v2_api": False},
        "wait_boot": 5,
        "addons": [
            {
                key: listed(app)[key]
                for key in ("name", "slug", "version", "version_latest", "update_available", "state", "repository", "icon")
            }
            for app in house.apps.values()
            if app.installed
        ],
        "addons_repositories": [{"name": name, "slug": slug} for slug, name, *_ in REPOSITORIES],
    }


def core_info(house: House) -> dict[str, Any]:
    """The answer to GET `/core/info`."""
    return {
        "version": house.core_version,
        "version_latest": house.core_version,
        "update_available": False,
        "machine": "raspberrypi5-64",
        "ip_address": "172.30.32.1",
        "arch": "aarch64",
        "image": "ghcr.io/home-assistant/raspberrypi5-64-homeassistant",
        "boot": True,
        "port": house.core_port,
        "ssl": False,
        "watchdog": True,
        "audio_input": None,
        "audio_output": None,
        "backups_exclude_database": False,
        "duplicate_log_file": False,
    }


def os_info(_house: House) -> dict[str, Any]:
    """The answer to GET `/os/info`."""
    return {
        "version": OS_VERSION,
        "version_latest": OS_VERSION,
        "version_pending": None,
        "update_available": False,
        "board": "rpi5-64",
        "boot": "B",
        "data_disk": "SD64G-0x97cde291",
        "boot_slots": {},
    }


def host_info(house: House) -> dict[str, Any]:
    """The answer to GET `/host/info`."""
    return {
        "agent_version": "1.7.2",
        "apparmor_version": "3.1.2",
        "chassis": "embedded",
        "virtualization": "",
        "cpe": f"cpe:2.3:o:home-assistant:haos:{OS_VERSION}:*:production:*:*:*:rpi5-64:*",
        "deployment": "production",
        "disk_free": house.knobs.disk_free,
        "disk_total": 252.0,
        "disk_used": round(252.0 - house.knobs.disk_free, 1),
        "disk_life_time": house.knobs.disk_worn,
        "features": list(FEATURES),
        "hostname": house.hostname,
        "llmnr_hostname": house.hostname,
        "kernel": "6.12.47",
        "operating_system": f"Home Assistant OS {OS_VERSION}",
        "timezone": "Etc/UTC",
        "dt_utc": house.clock.date(),
        "dt_synchronized": True,
        "use_ntp": True,
        "startup_time": 45.3,
        "boot_timestamp": 1763856000000000,
        "broadcast_llmnr": True,
        "broadcast_mdns": True,
    }


def network_info(house: House) -> dict[str, Any]:
    """The answer to GET `/network/info`: one wired interface that is connected, a wireless one that is not."""
    wired = {
        "interface": "end0",
        "type": "ethernet",
        "enabled": True,
        "connected": True,
        "primary": True,
        "mac": "AA:BB:CC:DD:EE:FF",
        "ipv4": {
            "method": "auto",
            "address": ["100.72.3.4/10" if house.knobs.cgnat else f"{house.address}/24"],
            "nameservers": ["192.168.1.1"],
            "gateway": "192.168.1.1",
            "route_metric": None,
            "ready": True,
        },
        "ipv6": {
            "method": "auto",
            "addr_gen_mode": "eui64",
            "ip6_privacy": "default",
            "address": ["fd00::6be9:2588:b26a:a679/64"],
            "nameservers": ["fd00::1"],
            "gateway": "fe80::da58:d7ff:fe00:9c69",
            "route_metric": None,
            "ready": True,
        },
        "wifi": None,
        "vlan": None,
        "mdns": "announce",
        "llmnr": "announce",
    }
    off: dict[str, Any] = {
        "method": "disabled",
        "address": [],
        "nameservers": [],
        "gateway": None,
        "route_metric": None,
        "ready": False,
    }
    wireless = {
        "interface": "wlan0",
        "type": "wireless",
        "enabled": False,
        "connected": False,
        "primary": False,
        "mac": "FF:EE:DD:CC:BB:AA",
        "ipv4": off,
        "ipv6": {**off, "addr_gen_mode": "default", "ip6_privacy": "default"},
        "wifi": None,
        "vlan": None,
        "mdns": None,
        "llmnr": None,
    }
    return {
        "interfaces": [wireless, wired],
        "docker": {"interface": "hassio", "address": "172.30.32.0/23", "gateway": "172.30.32.1", "dns": "172.30.32.3"},
        "host_internet": not house.knobs.offline,
        "supervisor_internet": not house.knobs.offline,
    }


def resolution_info(house: House) -> dict[str, Any]:
    """The answer to GET `/resolution/info`."""
    return {
        "unsupported": list(house.knobs.unsupported),
        "unhealthy": list(house.knobs.unhealthy),
        "suggestions": copy.deepcopy(house.suggestions),
        "issues": copy.deepcopy(house.issues),
        "checks": [{"enabled": True, "slug": slug} for slug in CHECKS],
    }


def available_updates(house: House) -> dict[str, Any]:
    """The answer to GET `/available_updates`."""
    updates: list[dict[str, Any]] = [
        {
            "update_type": "addon",
            "name": app.kind.name,
            "icon": f"/addons/{app.slug}/icon",
            "panel_path": f"/update-available/{app.slug}",
            "version_latest": app.version_latest,
        }
        for app in house.apps.values()
        if app.installed and app.version != app.version_latest
    ]
    if house.knobs.update_needed:
        path = "/update-available/supervisor"
        updates.append({"update_type": "supervisor", "panel_path": path, "version_latest": NEXT_SUPERVISOR})
    return {"available_updates": updates}


def stats(_app: App) -> dict[str, Any]:
    """The answer to GET `/addons/<slug>/stats` for an app that runs."""
    return {
        "cpu_percent": 0.1,
        "memory_usage": 12582912,
        "memory_limit": 8253132800,
        "memory_percent": 0.15,
        "network_rx": 1024,
        "network_tx": 1024,
        "blk_read": 0,
        "blk_write": 0,
    }


# ---------------------------------------------------------------------------------------------------------------- apps


def listed(app: App) -> dict[str, Any]:
    """One element of the answer to GET `/addons`."""
    return {
        "name": app.kind.name,
        "slug": app.slug,
        "description": app.kind.description,
        "stage": "stable",
        "version": app.version,
        "version_latest": app.version_latest,
        "update_available": app.installed and app.version != app.version_latest,
        "available": app.available,
        "detached": app.detached,
        "homeassistant": app.kind.more.get("homeassistant"),
        "state": app.state,
        "repository": app.kind.repository,
        "build": False,
        "url": app.kind.url,
        "icon": True,
        "logo": True,
        "system_managed": False,
        "advanced": app.hidden,
    }


def store_entry(app: App) -> dict[str, Any]:
    """The answer to GET `/store/addons/<slug>`."""
    more = app.kind.more
    return {
        "advanced": app.hidden,
        "arch": ["aarch64", "amd64"],
        "available": app.available,
        "build": False,
        "description": app.kind.description,
        "documentation": True,
        "homeassistant": more.get("homeassistant"),
        "icon": True,
        "installed": app.installed,
        "logo": True,
        "name": app.kind.name,
        "repository": app.kind.repository,
        "slug": app.slug,
        "stage": "stable",
        "update_available": app.installed and app.version != app.version_latest,
        "url": app.kind.url,
        "version_latest": app.version_latest,
        "version": app.version,
        "apparmor": more.get("apparmor", "default"),
        "auth_api": more.get("auth_api", False),
        "detached": app.detached,
        "docker_api": more.get("docker_api", False),
        "full_access": False,
        "hassio_api": True,
        "hassio_role": app.role or more.get("hassio_role", "manager"),
        "homeassistant_api": more.get("homeassistant_api", False),
        "host_network": app.kind.host_network,
        "host_pid": False,
        "ingress": more.get("ingress", True),
        "long_description": more.get("long_description"),
        "rating": more.get("rating", 6),
        "signed": False,
    }


def app_info(app: App, house: House) -> dict[str, Any]:
    """The answer to GET `/addons/<slug>/info`: store data where the app is not installed."""
    if not app.installed:
        return {**store_entry(app), "state": "unknown", "options": copy.deepcopy(dict(app.kind.options))}
    kind, more = app.kind, app.kind.more
    host = app.slug.replace("_", "-")
    entry = f"/api/hassio_ingress/{house.uuid}{app.slug}" if more.get("ingress", True) else None
    return {
        "name": kind.name,
        "slug": app.slug,
        "hostname": host,
        "dns": [f"{host}.local.hass.io"],
        "description": kind.description,
        "long_description": more.get("long_description"),
        "stage": "stable",
        "repository": kind.repository,
        "version_latest": app.version_latest,
        "protected": app.protected,
        "rating": more.get("rating", 6),
        "boot_config": app.boot_config,
        "boot": app.boot,
        "options": copy.deepcopy(app.options),
        "schema": ui_schema(kind.schema),
        "arch": ["aarch64", "amd64"],
        "machine": [],
        "homeassistant": more.get("homeassistant"),
        "url": kind.url,
        "detached": app.detached,
        "available": app.available,
        "build": False,
        "network": dict(app.network),
        "network_description": dict(kind.ports_description) if kind.ports_description else None,
        "host_network": kind.host_network,
        "host_pid": False,
        "host_ipc": False,
        "host_uts": False,
        "host_dbus": more.get("host_dbus", False),
        "privileged": list(more.get("privileged", ())),
        "full_access": False,
        "apparmor": more.get("apparmor", "default"),
        "icon": True,
        "logo": True,
        "changelog": more.get("changelog", False),
        "documentation": True,
        "stdin": False,
        "hassio_api": True,
        "hassio_role": app.role or more.get("hassio_role", "manager"),
        "auth_api": more.get("auth_api", False),
        "homeassistant_api": more.get("homeassistant_api", False),
        "gpio": more.get("gpio", False),
        "usb": more.get("usb", False),
        "uart": more.get("uart", False),
        "kernel_modules": False,
        "devicetree": False,
        "udev": False,
        "docker_api": more.get("docker_api", False),
        "video": False,
        "audio": more.get("audio", False),
        "startup": more.get("startup", "services"),
        "services": list(more.get("services", ())),
        "discovery": [],
        "translations": {},
        "ingress": more.get("ingress", True),
        "signed": False,
        "state": app.state,
        "webui": None,
        "ingress_entry": entry,
        "ingress_url": f"{entry}/" if entry else None,
        "ingress_port": more.get("ingress_port"),
        "ingress_panel": False,
        "audio_input": None,
        "audio_output": None,
        "auto_update": app.auto_update,
        "ip_address": _address(app),
        "version": app.version,
        "update_available": app.version != app.version_latest,
        "watchdog": app.watchdog,
        "devices": list(more.get("devices", ())),
        "system_managed": False,
        "system_managed_config_entry": None,
        "advanced": app.hidden,
    }


def _address(app: App) -> str:
    if app.kind.host_network:
        return "172.30.32.1"
    return "172.30.33.2" if app.state == "started" else "0.0.0.0"  # noqa: S104 - what the Supervisor says of an app that has none
