"""The named risks in words: what may happen, and when a plan asks for it."""

from __future__ import annotations

from ha_ssh.core.words import Risk

RISKS: dict[Risk, str] = {
    Risk.LOCK_OUT: "takes away a way to log in before another one is proven",
    Risk.PASSWORD_OFF: "ends password login for everyone who logs in to the SSH app with the password",
    Risk.HOST_KEY: "trusts a changed host key without a channel that proves it",
    Risk.PLAIN_HTTP: "sends the sign-in over a public address without TLS",
    Risk.CUT_BRANCH: "restarts the very SSH app that this run reaches the house through",
    Risk.EXPOSE_PORT: "opens SSH towards the internet",
    Risk.LOCAL_SHELL: "runs commands of the simulated house on this computer",
}
"""What each risk does, as the end of a sentence that starts with its subject."""
