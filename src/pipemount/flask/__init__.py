"""Flask: the app's routes as a blueprint, so that the host's login, ``g``, error handlers and URL building hold.

::

    pipelines = PipelineApp(weather)

    def create_app() -> Flask:
        app = Flask(__name__)
        pipelines.init_app(app, prefix="/ai", before=[login_required])
        return app
"""

from .mounting import mount

__all__ = ["mount"]
