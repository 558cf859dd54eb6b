import time
from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage


class StreamTextTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        text = str(tool_parameters["text"])
        delay_s = float(tool_parameters.get("delay_ms") or 0) / 1000
        words = text.split()
        for index, word in enumerate(words):
            if index and delay_s:
                time.sleep(delay_s)
            yield self.create_text_message(word if index == 0 else f" {word}")
        yield self.create_json_message({"words": len(words), "characters": len(text)})
