"""What a house that works is wanted to be: nothing but what it is (law 10: no opinion, no fault)."""

from __future__ import annotations

from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Facts, NotKnown, Want


def infer(facts: Facts) -> Want:
    """Return a want for a house that was never set up by us: its app, its key, its alias, and no opinion on the rest."""
    apps = facts.get(Apps)
    slug = None
    if not isinstance(apps, NotKnown):
        running = [app for app in apps.by_slug.values() if app.installed and app.running]
        installed = running or [app for app in apps.by_slug.values() if app.installed]
        slug = installed[0].slug if installed else None
    return Want(app=slug, identity=facts.target.identity, alias=facts.target.alias)
