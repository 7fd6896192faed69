"""Areas of a repository: by folder, apart from each other, and with the tests of their code."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from orchestra.blueprint.scope_overlap import Overlaps
from orchestra.scaffold.areas import Area, Kind, propose_areas, unowned_files

PYTHON = (".py",)


def many(folder: str, count: int, suffix: str = ".py") -> list[str]:
    return [f"{folder}/m{number}{suffix}" for number in range(count)]


def by_name(areas: Sequence[Area]) -> dict[str, Area]:
    return {area.name: area for area in areas}


def scopes(areas: Sequence[Area]) -> dict[str, tuple[str, ...]]:
    return {area.name: area.include for area in areas}


def test_a_python_package_is_divided_by_its_subpackages() -> None:
    files = [*many("src/shop/api", 9), *many("src/shop/db", 9), *many("src/shop", 9), "src/shop/tiny/a.py", "README.md"]
    areas = by_name(propose_areas(files, PYTHON))
    assert {name: area.include for name, area in areas.items()} == {
        "api": ("src/shop/api/**",),
        "db": ("src/shop/db/**",),
        "shop": ("src/**",),
    }
    assert areas["shop"].exclude == ("src/shop/api/**", "src/shop/db/**")
    assert areas["shop"].where == "src/shop (without api, db)"
    assert areas["shop"].files == 10
    assert unowned_files(list(areas.values()), files, Matcher(Scope(()))) == ["README.md"]


def test_small_repositories_get_few_agents() -> None:
    files = [*many("src/one", 3), *many("src/two", 3), *many("tests", 3), "README.md"]
    assert scopes(propose_areas(files, PYTHON)) == {"src": ("src/**", "tests/**")}


def test_what_changes_often_is_divided_first() -> None:
    files = [*many("calm/a", 8), *many("calm/b", 8), *many("busy/a", 5), *many("busy/b", 5)]
    quiet = propose_areas(files, PYTHON)
    history = [[path] for path in files if path.startswith("busy/") for _ in range(30)]
    lively = propose_areas(files, PYTHON, history=history)
    assert {area.include[0] for area in quiet} == {"calm/a/**", "calm/b/**", "busy/**"}
    assert {area.include[0] for area in lively} == {"calm/**", "busy/a/**", "busy/b/**"}


def test_each_area_owns_the_tests_of_its_name() -> None:
    code = [*many("src/shop/api", 9), *many("src/shop/db", 9), *many("src/shop/ui", 9)]
    tests = ["tests/test_api.py", "tests/db/test_a.py", "tests/test_other.py"]
    areas = by_name(propose_areas([*code, *tests], PYTHON))
    assert areas["api"].include == ("src/shop/api/**", "tests/test_api.py")
    assert areas["db"].include == ("src/shop/db/**", "tests/db/**")
    assert areas["ui"].include == ("src/shop/ui/**", "tests/test_ui.py"), "a new file next to the others"
    assert "tests" not in areas


def test_the_area_with_most_of_the_code_owns_the_tests_of_no_other_area() -> None:
    files = [*many("src/shop", 30), *many("src/shop/db", 9), "tests/db/test_a.py", *many("tests", 4)]
    areas = by_name(propose_areas(files, PYTHON))
    assert (areas["shop"].include, areas["shop"].exclude) == (("src/**", "tests/**"), ("src/shop/db/**", "tests/db/**"))


@pytest.mark.parametrize(
    ("existing", "new"),
    [
        (["test/a.js", "test/b.js", "test/support/x.js"], "test/api.js"),
        (["test/a.test.ts", "test/b.test.ts", "test/index.ts"], "test/api.test.ts"),
        (["tests/unit/test_a.py", "tests/conftest.py"], "tests/unit/test_api.py"),
        (["tests/a_test.py"], "tests/api_test.py"),
        (["test/parts/a.js"], None),
    ],
)
def test_new_tests_go_where_the_runner_finds_tests_today(existing: list[str], new: str | None) -> None:
    suffix = existing[0][existing[0].rindex(".") :]
    files = [*many("src/api", 9, suffix), *many("src/db", 9, suffix), *many("src/ui", 9, suffix), *existing]
    areas = by_name(propose_areas(files, (suffix,)))
    assert areas["api"].include == ("src/api/**", *([new] if new else []))


def test_no_new_test_file_where_tests_lie_beside_the_code() -> None:
    files = [*many("src/api", 9, ".ts"), "src/api/m1.test.ts", *many("src/db", 9, ".ts"), "test/all.test.ts"]
    areas = by_name(propose_areas(files, (".ts",)))
    assert "test/api.test.ts" not in areas["api"].include


def test_languages_whose_tests_lie_beside_the_code_get_no_test_file() -> None:
    files = [*many("src/net", 9, ".rs"), *many("src/db", 9, ".rs"), *many("src/fs", 9, ".rs"), "tests/all.rs"]
    areas = by_name(propose_areas(files, (".rs",)))
    assert [areas[name].include for name in ("net", "db", "fs")] == [("src/net/**",), ("src/db/**",), ("src/fs/**",)]


def test_maven_tests_go_with_their_package() -> None:
    main, test = "src/main/java/org/x/shop", "src/test/java/org/x/shop"
    files = [f"{main}/{part}/A{n}.java" for part in ("owner", "vet") for n in range(9)]
    files += [f"{test}/owner/ATests.java", f"{main}/App.java", "src/main/resources/x.properties"]
    areas = by_name(propose_areas(files, (".java",)))
    assert areas["owner"].include == (f"{main}/owner/**", f"{test}/owner/**")
    assert areas["vet"].include == (f"{main}/vet/**",)


def test_a_monorepo_is_divided_by_its_packages() -> None:
    files = [path for name in "abcdefgh" for path in many(f"packages/{name}", 10 + ord(name), ".ts")]
    files += [*many("packages/docs", 90, ".ts"), *many("packages/a/playground", 20, ".ts")]
    areas = by_name(propose_areas(files, (".ts",)))
    assert list(areas) == ["other-packages", "h", "g", "f", "e", "d", "docs"]
    assert areas["docs"].include == ("packages/docs/**", "packages/a/playground/**")
    assert areas["other-packages"].where == "packages (without h, g, f, e, d)"


def test_sources_in_the_root_folder() -> None:
    files = [*[f"m{n}.go" for n in range(9)], "m1_test.go", "README.md"]
    assert scopes(propose_areas(files, (".go",))) == {"core": ("*.go",)}


def test_build_files_in_the_root_are_no_sources() -> None:
    files = ["setup.py", "conftest.py", "noxfile.py", "a.config.py", *many("shop", 9)]
    assert "core" not in scopes(propose_areas(files, PYTHON))


def test_folders_are_known_by_their_names() -> None:
    files = [
        *many("web", 9),
        *many("vendor/x", 9),
        *many("e2e", 5),
        *many("docs", 5, ".md"),
        *many("deploy", 5, ".yaml"),
    ]
    files += ["Dockerfile", "examples/a.py"]
    areas = {area.name: (area.kind, area.where) for area in propose_areas(files, PYTHON)}
    assert areas == {
        "infrastructure": (Kind.INFRASTRUCTURE, "deploy, Dockerfile"),
        "web": (Kind.CODE, "web"),
        "e2e": (Kind.TESTS, "e2e"),
        "docs": (Kind.DOCS, "docs, examples"),
    }


def test_a_folder_named_doc_that_holds_a_package_is_code() -> None:
    files = [*[f"m{n}.go" for n in range(9)], *many("doc", 9, ".go"), "doc/README.md"]
    assert [(area.name, area.kind) for area in propose_areas(files, (".go",))] == [
        ("core", Kind.CODE),
        ("doc", Kind.CODE),
    ]


@pytest.mark.parametrize("files", [["Dockerfile"], ["docs/a.md"], ["scripts/a.sh", "scripts/b.sh"]])
def test_a_few_files_get_no_agent_of_their_own(files: list[str]) -> None:
    assert [area.name for area in propose_areas([*many("web", 9), *files], PYTHON)] == ["web"]


def test_an_empty_repository_has_no_area() -> None:
    assert propose_areas([], PYTHON) == ()
    assert propose_areas(["README.md", "LICENSE"], PYTHON) == ()


def test_a_script_in_the_root_is_an_area() -> None:
    assert scopes(propose_areas(["main.py", "README.md"], PYTHON)) == {"core": ("*.py",)}


def test_protected_files_need_no_owner() -> None:
    files = [*many("shop", 9), "Makefile", "README.md"]
    areas = propose_areas(files, PYTHON)
    assert unowned_files(areas, files, Matcher(Scope(("Makefile",)))) == ["README.md"]


@pytest.mark.parametrize(
    "odd", ["[id]", "a*b", "x?y", "back\\slash", "!not", " blank", "{a,b}", ":colon", "tab\t", "\udcff"]
)
def test_names_that_mean_something_to_git_are_spelled_or_left_out(odd: str) -> None:
    files = [*many(f"app/{odd}", 9), *many("app/plain", 9), *many(odd, 9)]
    areas = propose_areas(files, PYTHON)
    assert_apart(areas)
    assert {f"app/plain/m{n}.py" for n in range(9)}.isdisjoint(unowned_files(areas, files, Matcher(Scope(()))))


NAMES = st.sampled_from(
    ["src", "lib", "api", "tests", "test_api", "docs", "packages", "main", "java", "a", "b", "[x]", "Core"]
)
FILES = st.sampled_from(["a.py", "b.py", "a_test.py", "test_a.py", "api.py", "README.md", "x.ts", "Dockerfile", "*.py"])
PATHS = st.builds(lambda folders, name: "/".join([*folders, name]), st.lists(NAMES, max_size=5), FILES)


def is_tree(paths: Collection[str]) -> bool:
    return not any(path.startswith(f"{other}/") for path in paths for other in paths)


@example({"a.py", "Core/a.py", "tests/a.py"}, [])  # the root's own sources are an area named core, too
@example({f"{folder}/{n}.py" for folder in ("one", "two") for n in range(9)} | {"tests/a.py"}, [])  # exactly half each
@given(st.sets(PATHS, max_size=60).filter(is_tree), st.lists(st.sets(PATHS, max_size=4), max_size=10))
def test_areas_share_no_path_and_every_path_is_counted_once(paths: set[str], history: list[set[str]]) -> None:
    areas = propose_areas(paths, (".py", ".ts"), history=history)
    assert_apart(areas)
    assert len({area.name for area in areas}) == len(areas)
    assert sum(area.files for area in areas) + len(unowned_files(areas, paths, Matcher(Scope(())))) == len(paths)


def assert_apart(areas: Sequence[Area]) -> None:
    overlaps = Overlaps([Scope(area.include, area.exclude) for area in areas])
    for one, two in combinations(range(len(areas)), 2):
        assert overlaps.witness(one, two) is None, (areas[one], areas[two])


def test_sources_in_the_root_belong_to_the_main_area() -> None:
    files = [*many("lib", 9, ".js"), "index.js", "build.js", "test/a.js"]
    assert scopes(propose_areas(files, (".js",))) == {"lib": ("lib/**", "test/**", "index.js")}
