"""The pipelines of ``counting`` in a Flask product, below a prefix, behind a key."""

from flask import Flask

from pipemount import AuthKeys, PipelineApp, Settings
from pipemount.auth import Key

from .counting import counting, saying

KEY = "the-key-of-the-command-line-test"

app = Flask(__name__)
pipelines = PipelineApp(
    {"counting": counting, "saying": saying},
    auth=AuthKeys([Key("cli", KEY, permissions=("invoke", "read", "cancel"))]),
    settings=Settings(cleanup_timeout=1.0),
)
pipelines.init_app(app, prefix="/shop/ai")
