"""The known failures that no look of the doctor can find, or that are none, each with the reason."""

from __future__ import annotations

LEFT_OUT: dict[str, str] = {
    "bad-gateway": "a symptom and no cause: the web terminal shows it while the app is down, and `app-running` says why",
    "cloudflare": "a guess that nobody has reported; a name whose SSH port does not answer is judged as `port-answers` sees it",
    "key-dropped": "met only while saving: `ha-ssh` reads back what it saved and stops with `settings-dropped`",
    "log-port-22": "no failure: the app's log names the port inside its container, as `port-published` says",
    "noise-openfile": "no failure: a harmless line in the app's log, which no look takes for a reason",
    "partial-options": "cannot come from `ha-ssh`, which reads the settings, changes them and saves them whole",
    "router-rebind": "a guess that nobody has reported; only a look at other name servers could tell, and those are not asked",
    "secret-in-backup": "nothing to repair in the access: every backup holds an app's settings, so treat backups as secrets",
    "selinux-av": "a guess that nobody has reported; where only the user's own `ssh` fails, `own-ssh-works` names its words",
    "settings-revert": "met only while saving: the Supervisor's reason is the error of that run, and everything is put back",
    "token-wrapped": "prevented where it begins: blanks, line breaks and quotes are taken off a pasted token",
    "ui-noconfig": "a fault of the web page alone: the API, which `ha-ssh` uses, has the settings",
}
"""The reason by the known failure's id."""
