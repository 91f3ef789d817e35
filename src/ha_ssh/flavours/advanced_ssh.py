"""Advanced SSH & Web Terminal (`a0d7b954_ssh`), the community app: a chosen user, keys and password side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ha_ssh.core.model import Edit, EditOp, Flaw, Level, SecretRef, Serving
from ha_ssh.core.settings import entries, listed, port_of, section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ha_ssh.core.model import PublicKeyOf

_SSH = ("options", "ssh")
_PACKAGES = ("options", "packages")
_COMMANDS = ("options", "init_commands")
_LOG_LEVEL = ("options", "log_level")
_PORT = ("network", "22/tcp")
_DEFAULTS: Mapping[str, Any] = {
    "ssh": {
        "username": "hassio",
        "password": "",
        "authorized_keys": [],
        "sftp": False,
        "compatibility_mode": False,
        "allow_agent_forwarding": False,
        "allow_remote_port_forwarding": False,
        "allow_tcp_forwarding": False,
    },
    "zsh": True,
    "share_sessions": False,
    "packages": [],
    "init_commands": [],
}
_FLAWS = (
    Flaw(
        failure="agent-sshd-modes",
        since="2.0.0",
        mended="2.0.2",
        says="refuses every key, since it leaves its own key file open to others (`bad ownership or modes`)",
        level=Level.WRONG,
    ),
    Flaw(
        failure="update-broke",
        since="21.0.0",
        mended="21.0.1",
        says="offers post-quantum key exchange only, which locks out most clients on Windows",
        level=Level.WRONG,
    ),
)


@dataclass(frozen=True)
class AdvancedSsh:
    """What the settings of Advanced SSH & Web Terminal mean (its configuration as of version 23)."""

    slug: str = "a0d7b954_ssh"
    name: str = "Advanced SSH & Web Terminal"
    short: str = "advanced"
    rank: int = 1
    default_port: int = 22
    store_port: int | None = 22
    key_ends_password: bool = False
    default_username: str = "hassio"
    defaults: Mapping[str, Any] = field(default_factory=lambda: _DEFAULTS, hash=False)
    flaws: tuple[Flaw, ...] = _FLAWS

    def read(self, settings: Mapping[str, Any]) -> Serving:
        """What the app serves with these settings; the user name is lower-cased by the app itself."""
        options = section(settings, "options")
        ssh = section(options, "ssh")
        name = ssh.get("username")
        user = name.lower() if isinstance(name, str) else ""
        root = user == "root"
        password = bool(ssh.get("password"))
        shared = bool(options.get("share_sessions"))
        # A login shell joins tmux where sessions are shared, unless it believes to be in there already.
        ha = "ha {}" if root else f"{'TMUX=1 ' if shared else ''}bash -lc 'ha {{}}'"
        return Serving(
            user=user,
            port=port_of(settings, "22/tcp"),
            keys=entries(ssh.get("authorized_keys")),
            keys_listed=listed(ssh.get("authorized_keys")),
            password_set=password,
            password_login=password,
            sftp=bool(ssh.get("sftp")) and root,
            forwarding=bool(ssh.get("allow_tcp_forwarding")),
            ha_command=ha,
            options_command="cat /data/options.json" if root else "sudo -n cat /data/options.json",
            remote_forwarding=bool(ssh.get("allow_remote_port_forwarding")),
            agent_forwarding=bool(ssh.get("allow_agent_forwarding")),
            one_session=shared,
            hardened=not ssh.get("compatibility_mode"),
            packages=_texts(options.get("packages")),
            commands=_texts(options.get("init_commands")),
            debugging=options.get("log_level") in {"debug", "trace"},
        )

    def add_key(self, key: str | PublicKeyOf) -> Edit:
        """The edit that authorises a key beside whatever is there."""
        return Edit(path=(*_SSH, "authorized_keys"), op=EditOp.ADD, value=key, title="add your key to the authorised keys")

    def drop_key(self, entry: str) -> Edit:
        """The edit that withdraws one entry."""
        return Edit(path=(*_SSH, "authorized_keys"), op=EditOp.REMOVE, value=entry, title="withdraw an authorised key")

    def list_keys(self, entries: Sequence[str]) -> Edit:
        """The edit that makes a list of the keys."""
        path = (*_SSH, "authorized_keys")
        return Edit(path=path, op=EditOp.SET, value=list(entries), title="write the authorised keys as a list")

    def forget_keys(self) -> Edit | None:
        """An empty list is enough: the app writes its file anew at each start."""
        return None

    def set_port(self, port: int) -> Edit:
        """The edit that sets the port on the host's network."""
        return Edit(path=_PORT, op=EditOp.SET, value=port, title=f"publish SSH on port {port}")

    def set_password(self, ref: SecretRef | None) -> Edit:
        """The edit that sets or clears the password; an empty one switches password login off."""
        title = "set a password" if ref else "clear the password"
        return Edit(path=(*_SSH, "password"), op=EditOp.SET, value=ref or "", title=title)

    def set_username(self, name: str) -> Edit | None:
        """The edit that sets the login name."""
        return Edit(path=(*_SSH, "username"), op=EditOp.SET, value=name.lower(), title=f"log in as {name.lower()}")

    def set_forwarding(self, *, on: bool) -> Edit:
        """The edit that lets TCP connections be forwarded."""
        title = f"{'allow' if on else 'forbid'} TCP forwarding"
        return Edit(path=(*_SSH, "allow_tcp_forwarding"), op=EditOp.SET, value=on, title=title)

    def allow(self, what: str) -> Edit | None:
        """The edit of the switch for it; SFTP works for `root` only."""
        switches = {
            "sftp": ((*_SSH, "sftp"), True, "switch SFTP on"),
            "remote-forwarding": ((*_SSH, "allow_remote_port_forwarding"), True, "allow remote forwarding"),
            "agent-forwarding": ((*_SSH, "allow_agent_forwarding"), True, "allow agent forwarding"),
            "old-clients": ((*_SSH, "compatibility_mode"), True, "offer older algorithms too"),
            "own-session": (("options", "share_sessions"), False, "give each login its own session"),
        }
        if what not in switches:
            return None
        path, value, title = switches[what]
        return Edit(path=path, op=EditOp.SET, value=value, title=title)

    def refuses(self, settings: Mapping[str, Any]) -> str | None:
        """Why the app would not run: no login, no user name, or SFTP for anyone but root."""
        ssh = section(section(settings, "options"), "ssh")
        serving = self.read(settings)
        if not serving.user:
            return "Setting a username is required!"
        if not (serving.keys and serving.keys_listed) and not serving.password_set:
            return "Configuration of this app is incomplete."
        if ssh.get("sftp") and serving.user != "root":
            return (
                'You have enabled SFTP using the "ssh.sftp" app option. Unfortunately, this requires "ssh.username" to be "root".'
            )
        return None

    def secret_paths(self) -> tuple[tuple[str, ...], ...]:
        """The password."""
        return ((*_SSH, "password"),)

    def drop_packages(self) -> Edit:
        """The edit that empties `packages`."""
        return Edit(path=_PACKAGES, op=EditOp.SET, value=[], title="empty the list of extra packages (`packages`)")

    def drop_command(self, command: str) -> Edit | None:
        """The edit that removes one of the `init_commands`."""
        return Edit(path=_COMMANDS, op=EditOp.REMOVE, value=command, title="remove the command from `init_commands`")

    def end_debugging(self) -> Edit | None:
        """The edit that sets the log level to `info`: below it, the app runs `sshd` in its debug mode."""
        return Edit(path=_LOG_LEVEL, op=EditOp.SET, value="info", title="set `log_level` to `info`")


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


FLAVOUR = AdvancedSsh()
