"""Write the golden messages of every business event anew: ``make golden``.

Look at ``git diff`` afterwards: each line that differs is something that a HubSpot account would see otherwise.
"""

from __future__ import annotations

from tests.kit.events import PLAYS
from tests.kit.golden import as_text, write
from tests.kit.played_scenes import tell
from tests.kit.recording import record
from tests.kit.servers import MariaDB, MySQL


def main() -> None:
    scenes: dict[str, dict[str, str]] = {}
    for kind, make in (("mariadb", MariaDB), ("mysql", MySQL)):
        with make() as server:
            recordings = [record(server, scenes=play.scenes, mapping=play.mapping) for play in PLAYS]
        for play, recording in zip(PLAYS, recordings, strict=True):
            for told in tell(recording, play.mapping):
                scenes.setdefault(told.scene.name, {})[kind] = as_text(told.messages)
    changed = write(scenes)
    print(f"{len(scenes)} events, {len(changed)} files changed: {', '.join(changed) or 'none'}")


if __name__ == "__main__":
    main()
