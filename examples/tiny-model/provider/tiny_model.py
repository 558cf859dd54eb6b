from collections.abc import Mapping

from dify_plugin import ModelProvider


class TinyModelProvider(ModelProvider):
    def validate_provider_credentials(self, credentials: Mapping) -> None:
        """There are none."""
