from dify_plugin import Endpoint
from werkzeug import Response


class HelloEndpoint(Endpoint):
    def _invoke(self, r, values, settings):
        return Response(settings["greeting"], status=201)
