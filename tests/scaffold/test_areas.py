"""Areas of a repository: by folder, apart from each other, and no file forgotten."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from orchestra.blueprint.scope_overlap import Overlaps
from orchestra.scaffold.areas import Area, Kind, propose_areas

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
        "rest": ("**",),
    }
    assert areas["shop"].exclude == ("src/shop/api/**", "src/shop/db/**")
    assert areas["shop"].where == "src/shop (but for api, db)"
    assert (areas["shop"].files, areas["rest"].files) == (10, 1)


def test_small_repositories_get_few_agents() -> None:
    files = [*many("src/one", 3), *many("src/two", 3), *many("tests", 3), "README.md"]
    assert list(scopes(propose_areas(files, PYTHON))) == ["src", "tests", "rest"]


def test_what_changes_often_is_divided_first() -> None:
    files = [*many("calm/a", 8), *many("calm/b", 8), *many("busy/a", 5), *many("busy/b", 5)]
    quiet = propose_areas(files, PYTHON)
    history = [[path] for path in files if path.startswith("busy/") for _ in range(30)]
    lively = propose_areas(files, PYTHON, history=history)
    assert {area.include[0] for area in quiet} == {"calm/a/**", "calm/b/**", "busy/**"}
    assert {area.include[0] for area in lively} == {"calm/**", "busy/a/**", "busy/b/**"}


def test_tests_of_an_area_go_to_its_owner() -> None:
    code = [*many("src/shop/api", 9), *many("src/shop/db", 9), *many("src/shop/ui", 9)]
    tests = ["tests/test_api.py", "tests/db/test_a.py", "tests/test_other.py"]
    areas = by_name(propose_areas([*code, *tests], PYTHON))
    assert areas["api"].include == ("src/shop/api/**", "tests/test_api.py")
    assert areas["db"].include == ("src/shop/db/**", "tests/db/**")
    assert areas["ui"].include == ("src/shop/ui/**", "tests/test_ui/**"), "a new folder for who has none yet"
    assert set(areas["tests"].exclude) == {"tests/test_api.py", "tests/db/**", "tests/test_ui/**"}


def test_no_new_test_folder_where_tests_lie_beside_the_code() -> None:
    files = [*many("src/api", 9, ".ts"), "src/api/m1.test.ts", *many("src/db", 9, ".ts"), "test/all.test.ts"]
    areas = by_name(propose_areas(files, (".ts",)))
    assert areas["api"].include == ("src/api/**",)
    assert areas["db"].include == ("src/db/**", "test/db/**")


def test_languages_whose_tests_lie_beside_the_code_get_no_test_folder() -> None:
    files = [*many("src/net", 9, ".rs"), *many("src/db", 9, ".rs"), "tests/all.rs"]
    areas = by_name(propose_areas(files, (".rs",)))
    assert (areas["net"].include, areas["db"].include) == (("src/net/**",), ("src/db/**",))


def test_maven_tests_go_with_their_package() -> None:
    main, test = "src/main/java/org/x/shop", "src/test/java/org/x/shop"
    files = [f"{main}/{part}/A{n}.java" for part in ("owner", "vet") for n in range(9)]
    files += [f"{test}/owner/ATests.java", f"{main}/App.java", "src/main/resources/x.properties"]
    areas = by_name(propose_areas(files, (".java",)))
    assert areas["owner"].include == (f"{main}/owner/**", f"{test}/owner/**")
    assert areas["vet"].include == (f"{main}/vet/**",)
    assert areas["rest"].files == 2


def test_a_monorepo_is_divided_by_its_packages() -> None:
    files = [path for name in "abcdefgh" for path in many(f"packages/{name}", 10 + ord(name), ".ts")]
    files += [*many("packages/docs", 90, ".ts"), *many("packages/a/playground", 20, ".ts")]
    areas = by_name(propose_areas(files, (".ts",)))
    assert list(areas) == ["other-packages", "h", "g", "f", "e", "d", "docs"]
    assert areas["docs"].include == ("packages/docs/**", "packages/a/playground/**")
    assert areas["other-packages"].where == "packages (but for h, g, f, e, d)"


def test_sources_in_the_root_folder() -> None:
    files = [*[f"m{n}.go" for n in range(9)], "m1_test.go", "README.md"]
    assert scopes(propose_areas(files, (".go",))) == {"core": ("*.go",), "rest": ("**",)}


def test_build_files_in_the_root_are_no_sources() -> None:
    files = ["setup.py", "conftest.py", "noxfile.py", "a.config.py", *many("shop", 9)]
    assert "core" not in scopes(propose_areas(files, PYTHON))


def test_folders_are_known_by_their_names() -> None:
    files = [*many("web", 9), "deploy/a.yaml", "Dockerfile", "docs/a.md", "examples/a.py", "vendor/x/a.py", "e2e/a.py"]
    kinds = {area.name: area.kind for area in propose_areas(files, PYTHON)}
    assert kinds == {
        "infrastructure": Kind.INFRASTRUCTURE,
        "web": Kind.INTERFACE,
        "tests": Kind.TESTS,
        "docs": Kind.DOCS,
        "rest": Kind.REST,
    }


def test_an_empty_repository_is_one_area() -> None:
    [everything] = propose_areas([], PYTHON)
    assert (everything.name, everything.include, everything.exclude) == ("everything", ("**",), ())


def test_protected_files_need_no_owner() -> None:
    files = [*many("shop", 9), "Makefile"]
    assert "rest" not in scopes(propose_areas(files, PYTHON, protected=["Makefile"]))
    assert "rest" in scopes(propose_areas(files, PYTHON))


@pytest.mark.parametrize(
    "odd", ["[id]", "a*b", "x?y", "back\\slash", "!not", " blank", "{a,b}", ":colon", "tab\t", "\udcff"]
)
def test_names_that_mean_something_to_git_are_spelled_or_left_to_the_rest(odd: str) -> None:
    files = [*many(f"app/{odd}", 9), *many("app/plain", 9), *many(odd, 9)]
    areas = propose_areas(files, PYTHON)
    assert_apart(areas)
    assert_complete(areas, files)


NAMES = st.sampled_from(
    ["src", "lib", "api", "tests", "test_api", "docs", "packages", "main", "java", "a", "b", "[x]", "Core"]
)
FILES = st.sampled_from(["a.py", "b.py", "a_test.py", "test_a.py", "api.py", "README.md", "x.ts", "Dockerfile", "*.py"])
PATHS = st.builds(lambda folders, name: "/".join([*folders, name]), st.lists(NAMES, max_size=5), FILES)


def is_tree(paths: Collection[str]) -> bool:
    return not any(path.startswith(f"{other}/") for path in paths for other in paths)


@given(st.sets(PATHS, max_size=60).filter(is_tree), st.lists(st.sets(PATHS, max_size=4), max_size=10))
def test_areas_share_no_path_and_forget_none(paths: set[str], history: list[set[str]]) -> None:
    areas = propose_areas(paths, (".py", ".ts"), history=history)
    assert_apart(areas)
    assert_complete(areas, paths)
    assert len({area.name for area in areas}) == len(areas)
    assert sum(area.files for area in areas) == len(paths)


def assert_apart(areas: Sequence[Area]) -> None:
    overlaps = Overlaps([Scope(area.include, area.exclude) for area in areas])
    for one, two in combinations(range(len(areas)), 2):
        assert overlaps.witness(one, two) is None, (areas[one], areas[two])


def assert_complete(areas: Sequence[Area], paths: Collection[str]) -> None:
    matchers = [Matcher(Scope(area.include, area.exclude)) for area in areas]
    for path in paths:
        assert sum(matcher.matches(path) for matcher in matchers) == 1, path
