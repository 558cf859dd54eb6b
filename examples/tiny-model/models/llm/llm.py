from collections.abc import Generator, Mapping

from dify_plugin import LargeLanguageModel
from dify_plugin.entities.model.llm import LLMResult, LLMResultChunk, LLMResultChunkDelta
from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    PromptMessageTool,
    UserPromptMessage,
)


class ParrotLargeLanguageModel(LargeLanguageModel):
    """Says back what the user said last, one word for one token."""

    def _invoke(
        self,
        model: str,
        credentials: dict,
        prompt_messages: list[PromptMessage],
        model_parameters: dict,
        tools: list[PromptMessageTool] | None = None,
        stop: list[str] | None = None,
        stream: bool = True,
        user: str | None = None,
    ) -> LLMResult | Generator[LLMResultChunk, None, None]:
        asked = sum(len(words_of(message)) for message in prompt_messages)
        said = [message for message in prompt_messages if isinstance(message, UserPromptMessage)]
        answer = ["You", "said:"] + (words_of(said[-1]) if said else ["nothing"])
        answer = answer[: int(model_parameters.get("max_tokens", 256))]
        if stream:
            return self._stream(model, credentials, answer, asked)
        return LLMResult(
            model=model,
            message=AssistantPromptMessage(content=" ".join(answer)),
            usage=self._calc_response_usage(model, credentials, asked, len(answer)),
        )

    def _stream(
        self, model: str, credentials: dict, answer: list[str], asked: int
    ) -> Generator[LLMResultChunk, None, None]:
        last = len(answer) - 1
        for index, word in enumerate(answer):
            delta = LLMResultChunkDelta(
                index=index,
                message=AssistantPromptMessage(content=word if index == 0 else f" {word}"),
            )
            if index == last:
                delta.finish_reason = "stop"
                delta.usage = self._calc_response_usage(model, credentials, asked, len(answer))
            yield LLMResultChunk(model=model, delta=delta)

    def get_num_tokens(
        self,
        model: str,
        credentials: dict,
        prompt_messages: list[PromptMessage],
        tools: list[PromptMessageTool] | None = None,
    ) -> int:
        return sum(len(words_of(message)) for message in prompt_messages)

    def validate_credentials(self, model: str, credentials: Mapping) -> None:
        """There are none."""

    @property
    def _invoke_error_mapping(self) -> dict[type[Exception], list[type[Exception]]]:
        return {}


def words_of(message: PromptMessage) -> list[str]:
    content = message.content
    if isinstance(content, str):
        return content.split()
    return [word for part in content or [] if part.type == "text" for word in part.data.split()]
