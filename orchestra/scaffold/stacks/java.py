"""Java, Kotlin and their relatives: Maven and Gradle, by their wrappers where the repository has them.

No set-up command: both download what they need on the first run, into a cache that all worktrees share.
"""

from __future__ import annotations

from typing import Final

from orchestra.scaffold.stacks.manifests import Command, Part, StackFolder

SUFFIXES: Final = (".java", ".kt", ".kts", ".scala", ".groovy")
_GRADLE: Final = ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")


def find(ground: StackFolder) -> Part | None:
    """Detect Maven or Gradle; Maven where a repository has both, since releases usually come from the pom."""
    language = "Java" if ground.below(".java") else "Kotlin" if ground.below(".kt") else "Java"
    if "pom.xml" in ground.names:
        # -B -ntp: no prompts, no progress of downloads.
        run = f"{'./mvnw' if 'mvnw' in ground.names else 'mvn'} -B -ntp test"
        protected: tuple[str, ...] = ("**/pom.xml", ".mvn/**", "mvnw", "mvnw.cmd")
        return _part(ground, language, "Maven", (run, "pom.xml"), protected)
    build = ground.first(*_GRADLE)
    if build is None:
        return None
    # A daemon would outlive the gate, one for each worktree.
    run = f"{'./gradlew' if 'gradlew' in ground.names else 'gradle'} --no-daemon test"
    protected = ("**/*.gradle", "**/*.gradle.kts", "gradle.properties", "gradle/**", "gradlew", "gradlew.bat")
    return _part(ground, language, "Gradle", (run, build), protected)


def _part(ground: StackFolder, language: str, tool: str, tests: tuple[str, str], protected: tuple[str, ...]) -> Part:
    """Return ``tests`` is the command and the file that names it."""
    run, source = tests
    return Part(
        language=language,
        tool=tool,
        suffixes=SUFFIXES,
        commands=(Command("tests", ground.here(run), ground.pattern(source)),),
        protected=tuple(ground.pattern(pattern) for pattern in protected),
        port=8080,
    )
