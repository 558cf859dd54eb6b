from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response


class Ping(Endpoint):
    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return Response("pong " + r.get_data(as_text=True), status=201)
