"""The known failures that no look of the doctor can find, or that are none, each with the reason."""

from __future__ import annotations

LEFT_OUT: dict[str, str] = {
    "asyncssh-false-ok": "no failure of its own: `own-ssh-works` tries the user's `ssh` too, and names what only that refuses",
    "bad-gateway": "a symptom and no cause: the web terminal shows it while the app is down, and `app-running` says why",
    "clock": "a guess that nobody has reported; it makes certificates invalid, which `house-answers` names (`tls-verify`)",
    "cloudflare": "a guess that nobody has reported; a name whose SSH port does not answer is judged as `port-answers` sees it",
    "key-dropped": "met only while saving: `ha-ssh` reads back what it saved and stops with `settings-dropped`",
    "log-port-22": "no failure: the app's log names the port inside its container, as `port-published` says",
    "mosh": "nothing to repair: `mosh` is another program than SSH; `shell-whole` says whether the app has its server",
    "noise-openfile": "no failure: a harmless line in the app's log, which no look takes for a reason",
    "not-host": "no failure: `shell-whole` says that a login lands in the app's container, and how the host is reached",
    "outbound-lost": "not about the way in: keys made inside the app or Core for other servers; `/config/.ssh` outlives restarts",
    "partial-options": "cannot come from `ha-ssh`, which reads the settings, changes them and saves them whole",
    "router-rebind": "a guess that nobody has reported; only a look at other name servers could tell, and those are not asked",
    "secret-in-backup": "nothing to repair in the access: every backup holds an app's settings, so treat backups as secrets",
    "selinux-av": "a guess that nobody has reported; where only the user's own `ssh` fails, `own-ssh-works` names its words",
    "settings-revert": "met only while saving: the Supervisor's reason is the error of that run, and everything is put back",
    "termux": "a guess that nobody has reported; the checks of names and file modes hold there too",
    "token-wrapped": "prevented where it begins: blanks, line breaks and quotes are taken off a pasted token",
    "ui-noconfig": "a fault of the web page alone: the API, which `ha-ssh` uses, has the settings",
    "vscode": "a symptom of others: `forwards`, `own-session` and the ciphers (`win-mac`) name the cause",
    "win-agent": "a guess that nobody has reported; no agent is needed, since the alias names its key file",
    "zsh-sudo": "met only in a script that starts a login `zsh`: `lands-as-root` says what another user than root means",
}
"""The reason by the known failure's id."""
