from dify_plugin import Tool, ToolInvokeMessage


class MyTool(Tool):
    def _invoke(self, tool_parameters: dict) -> ToolInvokeMessage:
        query = tool_parameters.get("query", "")
        return self.create_text_message(f"You said: {query}")
