/** Calls back as the Python SDK 0.9 writes them for agents and for OpenAI-compatible endpoints, member for member. */
import type { HostCallType } from "../../../src/domain/host-call.ts";

const MODEL = { provider: "acme/models/models", model: "small", model_type: "llm", mode: "chat" };
const WEATHER = {
  name: "weather",
  description: "The weather of a city",
  parameters: {
    type: "object",
    properties: { city: { type: "string", description: "a city" } },
    required: ["city"],
  },
};
const TOOL_CALL = {
  id: "c1",
  type: "function",
  function: { name: "weather", arguments: '{"city": "Rome"}' },
};

export const SDK_HOST_CALLS: readonly (readonly [string, HostCallType, object])[] = [
  [
    "an agent's model after a tool call",
    "llm",
    {
      ...MODEL,
      completion_params: { temperature: 0.5, max_tokens: 512, stop: [] },
      prompt_messages: [
        { role: "system", content: "Be brief.", name: null },
        { role: "user", content: "How is the weather in Rome?", name: null },
        {
          role: "assistant",
          content: "Let me look.",
          name: null,
          tool_calls: [TOOL_CALL],
          opaque_body: null,
        },
        { role: "tool", content: "sunny", name: "weather", tool_call_id: "c1" },
      ],
      tools: [WEATHER],
      stop: [],
      stream: true,
    },
  ],
  [
    "an endpoint's model",
    "llm",
    {
      ...MODEL,
      completion_params: {},
      prompt_messages: [{ role: "user", content: "Hi\u2028", name: null }],
      tools: null,
      stop: null,
      stream: false,
    },
  ],
  [
    "an agent's tool within an app",
    "tool",
    {
      tool_type: "builtin",
      provider: "acme/weather/weather",
      tool: "weather",
      tool_parameters: { unit: "c", city: "Rome" },
      app_id: "an app",
    },
  ],
  [
    "an endpoint's app",
    "app",
    {
      app_id: "an app",
      query: "Hi",
      inputs: { messages: '[{"role": "user", "content": "Hi"}]' },
      response_mode: "blocking",
      conversation_id: "",
      user: null,
    },
  ],
  [
    "an endpoint's embeddings",
    "text_embedding",
    {
      provider: "acme/models/models",
      model: "vectors",
      model_type: "text-embedding",
      texts: ["a", "b"],
      input_type: "query",
    },
  ],
];
