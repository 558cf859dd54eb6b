from dify_plugin import Tool, ToolInvokeMessage


class Say(Tool):
    def _invoke(self, tool_parameters: dict) -> ToolInvokeMessage:
        return self.create_text_message(f"said {tool_parameters['query']}")
