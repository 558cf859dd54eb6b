from collections.abc import Mapping

from dify_plugin import ModelProvider
from dify_plugin.interfaces.model.moderation_model import ModerationModel


class ParrotProvider(ModelProvider):
    def validate_provider_credentials(self, credentials: Mapping) -> None:
        """There are none."""


class ParrotModeration(ModerationModel):
    """Objects to all that it is shown in capitals."""

    def _invoke(self, model: str, credentials: dict, text: str, user: str | None = None) -> bool:
        return text.isupper()

    def validate_credentials(self, model: str, credentials: Mapping) -> None:
        """There are none."""

    @property
    def _invoke_error_mapping(self) -> dict:
        return {}
