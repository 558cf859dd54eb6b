from dify_plugin import ToolProvider


class NotesProvider(ToolProvider):
    def _validate_credentials(self, credentials):
        """There are none."""
