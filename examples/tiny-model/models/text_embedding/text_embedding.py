import math
import time
from collections.abc import Mapping
from decimal import Decimal

from dify_plugin import TextEmbeddingModel
from dify_plugin.entities.model import EmbeddingInputType
from dify_plugin.entities.model.text_embedding import EmbeddingUsage, TextEmbeddingResult

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class LettersTextEmbeddingModel(TextEmbeddingModel):
    """How often each letter of the alphabet stands in a text, as a vector of length 1."""

    def _invoke(
        self,
        model: str,
        credentials: dict,
        texts: list[str],
        user: str | None = None,
        input_type: EmbeddingInputType = EmbeddingInputType.DOCUMENT,
    ) -> TextEmbeddingResult:
        started_at = time.perf_counter()
        tokens = sum(self.get_num_tokens(model, credentials, texts))
        return TextEmbeddingResult(
            model=model,
            embeddings=[embed(text) for text in texts],
            usage=EmbeddingUsage(
                tokens=tokens,
                total_tokens=tokens,
                unit_price=Decimal(0),
                price_unit=Decimal(0),
                total_price=Decimal(0),
                currency="USD",
                latency=time.perf_counter() - started_at,
            ),
        )

    def get_num_tokens(self, model: str, credentials: dict, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def validate_credentials(self, model: str, credentials: Mapping) -> None:
        """There are none."""

    @property
    def _invoke_error_mapping(self) -> dict[type[Exception], list[type[Exception]]]:
        return {}


def embed(text: str) -> list[float]:
    counts = [text.lower().count(letter) for letter in LETTERS]
    length = math.sqrt(sum(count * count for count in counts))
    return [count / length for count in counts] if length else [0.0] * len(counts)
