"""Terminal & SSH (`core_ssh`), the official app: always `root`, no port until one is set, and the first key ends the password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ha_ssh.core.model import Edit, EditOp, Flaw, Level, SecretRef, Serving
from ha_ssh.core.settings import entries, listed, port_of, section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ha_ssh.core.model import PublicKeyOf

_KEYS = ("options", "authorized_keys")
_PASSWORD = ("options", "password")
_PACKAGES = ("options", "apks")
_PORT = ("network", "22/tcp")
_DEFAULTS: Mapping[str, Any] = {"authorized_keys": [], "password": "", "apks": [], "server": {"tcp_forwarding": False}}
_FLAWS = (
    Flaw(
        failure="noreply-pw",
        since="0",
        mended="9.19.0",
        says="asks for a password even where only keys are set, and takes none",
        level=Level.WARN,
    ),
    Flaw(failure="shell-sh", since="9.20.0", mended="9.20.1", says="gives a plain `sh` instead of `bash`", level=Level.WARN),
    Flaw(failure="shell-sh", since="10.0.0", mended="10.0.1", says="gives a plain `sh` instead of `bash`", level=Level.WARN),
)


@dataclass(frozen=True)
class TerminalSsh:
    """What the settings of Terminal & SSH mean (its configuration as of version 10.4.0)."""

    slug: str = "core_ssh"
    name: str = "Terminal & SSH"
    short: str = "terminal"
    rank: int = 0
    default_port: int = 2222
    store_port: int | None = None
    key_ends_password: bool = True
    default_username: str = "root"
    defaults: Mapping[str, Any] = field(default_factory=lambda: _DEFAULTS, hash=False)
    flaws: tuple[Flaw, ...] = _FLAWS

    def read(self, settings: Mapping[str, Any]) -> Serving:
        """What the app serves with these settings; a missing or odd value counts as its default."""
        options = section(settings, "options")
        keys = entries(options.get("authorized_keys"))
        password = bool(options.get("password"))
        server = section(options, "server")
        return Serving(
            user="root",
            port=port_of(settings, "22/tcp"),
            keys=keys,
            keys_listed=listed(options.get("authorized_keys")),
            password_set=password,
            password_login=password and not (keys and listed(options.get("authorized_keys"))),
            sftp=True,
            forwarding=bool(server.get("tcp_forwarding")),
            ha_command="ha {}",
            options_command="cat /data/options.json",
            remote_forwarding=bool(server.get("tcp_forwarding")),
            packages=_texts(options.get("apks")),
        )

    def add_key(self, key: str | PublicKeyOf) -> Edit:
        """The edit that authorises a key beside whatever is there."""
        return Edit(path=_KEYS, op=EditOp.ADD, value=key, title="add your key to the authorised keys")

    def drop_key(self, entry: str) -> Edit:
        """The edit that withdraws one entry."""
        return Edit(path=_KEYS, op=EditOp.REMOVE, value=entry, title="withdraw an authorised key")

    def list_keys(self, entries: Sequence[str]) -> Edit:
        """The edit that makes a list of the keys."""
        return Edit(path=_KEYS, op=EditOp.SET, value=list(entries), title="write the authorised keys as a list")

    def forget_keys(self) -> Edit | None:
        """A list of nothing but a comment: with an empty one the app keeps its old file, and the keys in it."""
        return Edit(path=_KEYS, op=EditOp.SET, value=["# emptied by ha-ssh"], title="forget the keys of before")

    def set_port(self, port: int) -> Edit:
        """The edit that publishes the SSH port."""
        return Edit(path=_PORT, op=EditOp.SET, value=port, title=f"publish SSH on port {port}")

    def set_password(self, ref: SecretRef | None) -> Edit:
        """The edit that sets or clears the password."""
        return Edit(path=_PASSWORD, op=EditOp.SET, value=ref or "", title="set a password" if ref else "clear the password")

    def set_username(self, _name: str) -> Edit | None:
        """The login name is always `root` here."""
        return None

    def set_forwarding(self, *, on: bool) -> Edit:
        """The edit that lets TCP connections be forwarded."""
        path = ("options", "server", "tcp_forwarding")
        return Edit(path=path, op=EditOp.SET, value=on, title=f"{'allow' if on else 'forbid'} TCP forwarding")

    def allow(self, what: str) -> Edit | None:
        """Remote forwarding comes with forwarding, `rsync` as an extra package; for the rest it has no switch, and needs none."""
        if what == "rsync":
            return Edit(path=_PACKAGES, op=EditOp.ADD, value="rsync", title="fetch `rsync` at each start")
        return self.set_forwarding(on=True) if what == "remote-forwarding" else None

    def refuses(self, settings: Mapping[str, Any]) -> str | None:
        """Why the app would not run: it needs a key or a password as soon as it has a port."""
        serving = self.read(settings)
        if serving.port is not None and not (serving.keys and serving.keys_listed) and not serving.password_set:
            return "You need to setup a login!"
        return None

    def secret_paths(self) -> tuple[tuple[str, ...], ...]:
        """The password."""
        return (_PASSWORD,)

    def drop_packages(self) -> Edit:
        """The edit that empties `apks`."""
        return Edit(path=_PACKAGES, op=EditOp.SET, value=[], title="empty the list of extra packages (`apks`)")

    def drop_command(self, _command: str) -> Edit | None:
        """It runs none."""
        return None

    def end_debugging(self) -> Edit | None:
        """It has no such mode."""
        return None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


FLAVOUR = TerminalSsh()
