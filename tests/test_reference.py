"""How commands find an app by its reference, and what they say when there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offpoll.app import Offpoll
from offpoll.errors import ConfigurationError
from offpoll.reference import load_app, load_object, module_of

Write = Callable[..., Path]

APP = "from offpoll import Offpoll\napp = Offpoll()\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules into the current folder; no module that a test loads stays loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(**modules: str) -> Path:
        for name, source in modules.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("shop", "util", "typo", "circle", "inner", "web"):
            del sys.modules[name]


def refusal(reference: str) -> str:
    """Return what a reference is refused with."""
    with pytest.raises(ConfigurationError) as refused:
        load_app(reference)
    return str(refused.value)


FACTORIES = """
from functools import partial
from offpoll import Offpoll
made = []
class Apps:
    app = Offpoll()
    @staticmethod
    def create(): return made.append("static") or Offpoll()
def create_app(region="eu", *, debug=False): return made.append((region, debug)) or Offpoll()
create = partial(create_app, "us")
def needs(region): return made.append(region) or Offpoll()
"""


@pytest.mark.parametrize(
    ("reference", "made"),
    [
        ("shop:create_app", [("eu", False)]),
        ("shop:create_app()", [("eu", False)]),
        ("shop:create_app('us', debug=True)", [("us", True)]),
        ("shop:create", [("us", False)]),
        ("shop:needs('us')", ["us"]),
        ("shop:Apps.create", ["static"]),
        ("shop:Apps.app", []),
    ],
)
def test_factories(write: Write, reference: str, made: list[object]) -> None:
    """A function that makes an app is named with or without parentheses, as uvicorn's and gunicorn's users write it."""
    write(shop=FACTORIES)
    assert isinstance(load_app(reference), Offpoll)
    assert sys.modules["shop"].made == made
    assert module_of(reference) == "shop"


@pytest.mark.parametrize(
    ("reference", "texts"),
    [
        ("shop", ("write module:attribute", "orders:create_app")),
        ("shop:", ("write module:attribute",)),
        (":app", ("write module:attribute",)),
        ("shop:1", ("write module:attribute",)),
        ("shop:create_app(x)", ("write module:attribute",)),
        ("shop.py:app", ("for example shop:app",)),
        ("./src/shop.py:app", ("for example src.shop:app",)),
        ("shop:create_async", ("is async", "lifespan")),
        ("shop:create_async()", ("is async", "lifespan")),
        ("shop:hidden_async", ("is async", "lifespan")),
        ("shop:needs", ("needs region", "literals")),
        ("shop:app()", ("a Offpoll cannot be called", "leave out the parentheses")),
        ("shop:number", ("is a int, not an Offpoll", "did you mean shop:app?")),
        ("shop:appp", ("shop:appp is nothing", "did you mean shop:app?")),
        ("shop:other", ("shop:other is nothing", "did you mean shop:app?")),
        ("shop:wrong", ("is a int, not an Offpoll",)),
        ("shop:fails", ("shop:fails failed: KeyError: 'REGION'", 'shop.py", line 10, in fails', "environ['REGION']")),
        ("shop:leaves", ("shop:leaves failed: it called sys.exit(3)",)),
        ("shopp:app", ("there is no module 'shopp'", "did you mean shop?")),
        ("shop.orders:app", ("there is no module 'shop.orders'",)),
    ],
)
def test_a_bad_reference(write: Write, reference: str, texts: tuple[str, ...]) -> None:
    """The error says what is wrong with it, and what it could be."""
    write(
        shop=APP
        + "number = 1\n"
        + "async def create_async(): return app\n"
        + "hidden_async = lambda: create_async()\n"
        + "def needs(region): return app\n"
        + "def wrong(): return 1\n"
        + "def fails():\n    import os\n    return os.environ['REGION']\n"
        + "def leaves(): import sys; sys.exit(3)\n"
    )
    said = refusal(reference)
    for text in texts:
        assert text in said


IMPORTS = [
    ("1 / 0\n", ["ZeroDivisionError: division by zero", 'shop.py", line 1, in <module>', "    1 / 0"]),
    ("import util\n", ['shop.py", line 1', 'util.py", line 2, in <module>', "int('x')"]),
    ("x = (\n", ["SyntaxError: '(' was never closed", 'shop.py", line 1', "x = (", "^"]),
    ("import typo\n", ['shop.py", line 1', 'typo.py", line 2', "    def f(:", "^"]),
    ("if True:\nx = 1\n", ["IndentationError", 'shop.py", line 2', "x = 1"]),
    (
        "import no_such_package\n",
        ["No module named 'no_such_package'", 'shop.py", line 1', "Is no_such_package a package? Then install it"],
    ),
    ("import inner.orders\n", ["No module named 'rules'", 'orders.py", line 1', "rules.py exists", "import it as inner.rules"]),
    ("from circle import thing\n", ["ImportError", "circular import", 'circle.py", line 1', "from shop import app"]),
    ("from offpoll import Offpoll, Offpol\n", ["cannot import name 'Offpol'", 'shop.py", line 1']),
    ("import sys; sys.exit(3)\n", ["it called sys.exit(3)", 'shop.py", line 1']),
    (
        "try:\n    1 / 0\nexcept Exception as e:\n    raise RuntimeError('no table') from e\n",
        ["RuntimeError: no table", "caused by ZeroDivision"],
    ),
    ("from pydantic import BaseModel\nclass A(BaseModel):\n    x: int\nA(x='a')\n", ["ValidationError", 'shop.py", line 4']),
    (APP + "@app.operation('order')\ndef f(x: int): ...\n" * 2, ["ConfigurationError: the kind 'order' has two", 'shop.py", line 5']),
    ("def f(): f()\nf()\n", ["RecursionError", 'shop.py", line 1, in f']),
]


@pytest.mark.parametrize(("source", "texts"), IMPORTS, ids=[source.splitlines()[0] for source, _ in IMPORTS])
def test_an_import_that_fails(write: Write, source: str, texts: list[str]) -> None:
    """The error shows the user's frames, a file and a line each, and none of offpoll, importlib or another package."""
    write(
        shop=source,
        util="\nint('x')\n",
        typo="\ndef f(:\n    pass\n",
        circle="from shop import app\n",
        inner__orders="import rules\n",
        inner__rules="",
    )
    said = refusal("shop:app")
    assert said.startswith("shop cannot be imported: ")
    for text in texts:
        assert text in said, said
    for frame in ("importlib", "offpoll/reference", "offpoll/app", "site-packages"):
        assert frame not in said
    assert said.count("\n") < 20


def test_a_module_in_another_folder(write: Write) -> None:
    """A module that lies one folder below or beside is pointed to."""
    folder = write(inner__bakery=APP)
    assert f"{folder / 'inner' / 'bakery.py'} exists: run the command in {folder / 'inner'}" in refusal("bakery:app")


def test_other_objects(write: Write) -> None:
    """Any object can be loaded: an ASGI application is no factory, although it can be called."""
    write(
        web="class Web:\n    async def __call__(self, scope, receive, send): ...\napi = Web()\nasync def asgi(scope, receive, send): ...\n"
    )
    assert type(load_object("web:api")).__name__ == "Web"
    with pytest.raises(ConfigurationError, match="is nothing"):
        load_object("web:app")


def test_nothing_is_imported_before_an_error() -> None:
    """What describes errors costs a function's cold start nothing to speak of."""
    code = "import sys, offpoll.reference; print(sorted({'sysconfig', 'runpy'} & sys.modules.keys() - before))"
    before = "import sys; before = set(sys.modules); "
    done = subprocess.run([sys.executable, "-I", "-c", before + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
