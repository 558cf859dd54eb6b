from dify_plugin import Tool


class NoteTool(Tool):
    def _invoke(self, tool_parameters):
        self.session.storage.set("note", tool_parameters["text"].encode())
        yield self.create_text_message(self.session.storage.get("note").decode())
