/** Python that the seed dialect leaves out and the public SDK wants. */

/** The SDK releases whose launcher contract this was tried with. */
export const SEED_REQUIREMENT = "dify_plugin>=0.7.0,<0.8.0";

export const SEED_PROVIDER_SOURCE = `from dify_plugin import ToolProvider


class SeedProvider(ToolProvider):
    """Stands for the provider that the package does not write: it has no credentials to check."""

    def _validate_credentials(self, credentials):
        return None
`;

/**
 * Starts a seed package on the public SDK. Before any code of the package is imported it puts the names in place that
 * the dialect imports from the SDK's top level, and lets \`_invoke\` return one message where the SDK expects many.
 * A package with a \`main.py\` of its own is started by that.
 */
export function seedLauncher({ timeoutMs, hasMain }: { timeoutMs: number; hasMain: boolean }): string {
  const start = hasMain
    ? `import runpy

    runpy.run_module("main", run_name="__main__", alter_sys=True)`
    : `plugin = dify_plugin.Plugin(
        dify_plugin.DifyPluginEnv(MAX_REQUEST_TIMEOUT=${Math.max(300, Math.ceil(timeoutMs / 1000))})
    )
    plugin.run()`;
  return `import functools

import dify_plugin
from dify_plugin.entities.tool import ToolInvokeMessage

if not hasattr(dify_plugin, "ToolInvokeMessage"):
    dify_plugin.ToolInvokeMessage = ToolInvokeMessage


def _as_stream(invoke):
    @functools.wraps(invoke)
    def stream(self, *args, **kwargs):
        result = invoke(self, *args, **kwargs)
        if result is None:
            return
        if isinstance(result, ToolInvokeMessage):
            yield result
        else:
            yield from result

    return stream


def _accept_one_message(cls, **kwargs):
    super(dify_plugin.Tool, cls).__init_subclass__(**kwargs)
    if "_invoke" in cls.__dict__:
        cls._invoke = _as_stream(cls.__dict__["_invoke"])


dify_plugin.Tool.__init_subclass__ = classmethod(_accept_one_message)

if __name__ == "__main__":
    ${start}
`;
}
