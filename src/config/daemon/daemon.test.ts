import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../config.ts";
import { parseServerUrl } from "../../domain/server-url.ts";
import { marketplaceKey } from "../../packages/signature/marketplace-key.ts";
import type { Env } from "../environment.ts";
import { DAEMON_NAMES } from "./names.ts";
import { PUBLISHED_KEYS } from "./read.ts";

/** What its configuration reads, and what its sample file holds beside that. */
const NAMES_OF_THE_DAEMON = `
  ADMIN_API_ENABLED ADMIN_API_KEY ALIYUN_OSS_ACCESS_KEY_ID ALIYUN_OSS_ACCESS_KEY_SECRET
  ALIYUN_OSS_AUTH_VERSION ALIYUN_OSS_CLOUDBOX_ID ALIYUN_OSS_ENDPOINT ALIYUN_OSS_PATH ALIYUN_OSS_REGION
  AWS_ACCESS_KEY AWS_REGION AWS_SECRET_KEY AZURE_BLOB_STORAGE_ACCOUNT_URL
  AZURE_BLOB_STORAGE_CONNECTION_STRING AZURE_BLOB_STORAGE_CONTAINER_NAME
  AZURE_BLOB_STORAGE_USE_MANAGED_IDENTITY BAIDU_BOS_ACCESS_KEY BAIDU_BOS_ENDPOINT BAIDU_BOS_REGION
  BAIDU_BOS_SECRET_KEY DB_CHARSET DB_CONNECT_TIMEOUT DB_CONN_MAX_LIFETIME DB_DATABASE
  DB_DEFAULT_DATABASE DB_EXTRAS DB_GORM_LOG_LEVEL DB_HOST DB_MAX_IDLE_CONNS DB_MAX_OPEN_CONNS
  DB_PASSWORD DB_PORT DB_READ_TIMEOUT DB_SSL_MODE DB_TYPE DB_USERNAME DB_WRITE_TIMEOUT
  DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT DIFY_BACKWARDS_INVOCATION_WRITE_TIMEOUT DIFY_INNER_API_KEY
  DIFY_INNER_API_URL DIFY_INVOCATION_CONNECTION_IDLE_TIMEOUT DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY
  DIFY_PLUGIN_SERVERLESS_CONNECTOR_LAUNCH_TIMEOUT DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL
  DISPLAY_CLUSTER_LOG ENABLE_OTEL ENFORCE_LANGGENIUS_PLUGIN_SIGNATURES FORCE_VERIFYING_SIGNATURE
  GCS_CREDENTIALS GIN_MODE HEALTH_API_LOG_ENABLED HTTPS_PROXY HTTP_PROXY HUAWEI_OBS_ACCESS_KEY
  HUAWEI_OBS_PATH_STYLE HUAWEI_OBS_SECRET_KEY HUAWEI_OBS_SERVER LIFETIME_COLLECTION_GC_INTERVAL
  LIFETIME_COLLECTION_HEARTBEAT_INTERVAL LIFETIME_STATE_GC_INTERVAL LOG_FILE LOG_LEVEL
  LOG_OUTPUT_FORMAT MAX_BUNDLE_PACKAGE_SIZE MAX_PLUGIN_PACKAGE_SIZE MAX_SERVERLESS_REQUEST_BYTES
  MAX_SERVERLESS_RETRY_TIMES MAX_SERVERLESS_TRANSACTION_TIMEOUT NO_PROXY OTEL_API_KEY
  OTEL_BATCH_EXPORT_SCHEDULE_DELAY OTEL_BATCH_EXPORT_TIMEOUT OTEL_EXPORTER_OTLP_PROTOCOL
  OTEL_EXPORTER_TYPE OTEL_MAX_EXPORT_BATCH_SIZE OTEL_MAX_QUEUE_SIZE OTEL_METRIC_EXPORT_INTERVAL
  OTEL_METRIC_EXPORT_TIMEOUT OTEL_SAMPLING_RATE OTLP_BASE_ENDPOINT OTLP_METRIC_ENDPOINT
  OTLP_TRACE_ENDPOINT PERSISTENCE_STORAGE_MAX_SIZE PERSISTENCE_STORAGE_PATH PIP_EXTRA_ARGS
  PIP_MIRROR_AUTO_DETECT PIP_MIRROR_AUTO_DETECT_TIMEOUT PIP_MIRROR_CANDIDATES PIP_MIRROR_URL
  PIP_PREFER_BINARY PIP_VERBOSE PLATFORM PLUGIN_ASSET_CACHE_SIZE PLUGIN_ENDPOINT_ENABLED
  PLUGIN_IGNORE_UV_LOCK PLUGIN_INSTALLED_PATH PLUGIN_INSTALL_TIMEOUT PLUGIN_LOCAL_LAUNCHING_CONCURRENT
  PLUGIN_MAX_EXECUTION_TIMEOUT PLUGIN_MEDIA_CACHE_PATH PLUGIN_MEDIA_CACHE_SIZE
  PLUGIN_MODEL_INSTALLATIONS_CACHE_ENABLED PLUGIN_MODEL_INSTALLATIONS_CACHE_TTL
   PLUGIN_PACKAGE_CACHE_PATH PLUGIN_REMOTE_INSTALLING_ENABLED
  PLUGIN_REMOTE_INSTALLING_HOST PLUGIN_REMOTE_INSTALLING_MAX_CONN
  PLUGIN_REMOTE_INSTALLING_MAX_SINGLE_TENANT_CONN PLUGIN_REMOTE_INSTALLING_PORT
  PLUGIN_REMOTE_INSTALL_SERVER_EVENT_LOOP_NUMS PLUGIN_RUNTIME_BUFFER_SIZE
  PLUGIN_RUNTIME_MAX_BUFFER_SIZE PLUGIN_STDIO_BUFFER_SIZE PLUGIN_STDIO_MAX_BUFFER_SIZE
  PLUGIN_STORAGE_LOCAL_ROOT PLUGIN_STORAGE_OSS_BUCKET PLUGIN_STORAGE_TYPE PLUGIN_WEBHOOK_ENABLED
  PLUGIN_WORKING_PATH PPROF_ENABLED PROMETHEUS_ENABLED PYTHON_COMPILE_ALL_EXTRA_ARGS
  PYTHON_ENV_INIT_TIMEOUT PYTHON_INTERPRETER_PATH REDIS_DB REDIS_HOST REDIS_KEY_PREFIX REDIS_PASSWORD
  REDIS_PORT REDIS_SENTINELS REDIS_SENTINEL_PASSWORD REDIS_SENTINEL_SERVICE_NAME
  REDIS_SENTINEL_SOCKET_TIMEOUT REDIS_SENTINEL_USERNAME REDIS_SSL_CA_CERTS REDIS_SSL_CERT_REQS
  REDIS_USERNAME REDIS_USE_AZURE_MANAGED_IDENTITY REDIS_USE_SENTINEL REDIS_USE_SSL
  RESPONSE_MAX_BUFFER_SIZE ROUTINE_POOL_SIZE S3_ENDPOINT S3_USE_AWS S3_USE_AWS_MANAGED_IAM
  S3_USE_PATH_STYLE SENTRY_ATTACH_STACKTRACE SENTRY_DSN SENTRY_ENABLED SENTRY_SAMPLE_RATE
  SENTRY_TRACES_SAMPLE_RATE SENTRY_TRACING_ENABLED SERVER_HOST SERVER_KEY SERVER_PORT SERVER_TZ
  TENCENT_COS_ENDPOINT TENCENT_COS_REGION TENCENT_COS_SECRET_ID TENCENT_COS_SECRET_KEY
  THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS UV_PATH
  VOLCENGINE_TOS_ACCESS_KEY VOLCENGINE_TOS_ENDPOINT VOLCENGINE_TOS_REGION VOLCENGINE_TOS_SECRET_KEY
`
  .trim()
  .split(/\s+/);

const KEY = { SERVER_KEY: "a-key-of-our-own" };
const DATABASE = { DB_USERNAME: "postgres", DB_PASSWORD: "p", DB_HOST: "db", DB_DATABASE: "dify_plugin" };
const [published = ""] = PUBLISHED_KEYS;

const settingsOf = (env: Env) => readConfig({ ...KEY, ...env }, []).settings;
const notesOf = (env: Env) => readConfig({ ...KEY, ...env }, []).notes;

function problemsOf(env: Env): string {
  try {
    readConfig(env, []);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
}

function urlOf(text: string | undefined) {
  const rules = {
    setting: "URL",
    form: "a URL",
    schemes: ["postgresql", "redis", "rediss", "redis+sentinel", "rediss+sentinel"],
    params: ["sslmode", "host", "sslrootcert", "sentinel_username", "sentinel_password"],
  };
  return parseServerUrl(text ?? "", rules);
}

describe("the names of dify-plugin-daemon", () => {
  it("are all known, and no other names are", () => {
    expect(Object.keys(DAEMON_NAMES).toSorted()).toEqual(NAMES_OF_THE_DAEMON.toSorted());
  });

  it("are ignored if SERVER_KEY is not set", () => {
    const { settings, notes, warnings } = readConfig(
      { ...DATABASE, DB_TYPE: "mysql", PLATFORM: "serverless", SERVER_PORT: "1", PLUGIN_STORAGE_TYPE: "gcs" },
      [],
    );
    expect(settings.DATABASE_URL).toBeUndefined();
    expect([settings.BERTH_PORT, settings.BERTH_HOST, settings.BERTH_DIFY_KEY]).toEqual([
      5002,
      "127.0.0.1",
      undefined,
    ]);
    expect([...notes, ...warnings]).toEqual([]);
  });

  it("have the daemon's defaults if only the key is set", () => {
    expect(settingsOf({})).toMatchObject({
      BERTH_DIFY_KEY: KEY.SERVER_KEY,
      BERTH_HOST: "0.0.0.0",
      BERTH_PORT: 5002,
      BERTH_STORAGE: "storage",
      BERTH_SIGNATURE_POLICY: "require",
      BERTH_TRUST_MARKETPLACE: "yes",
      BERTH_BUILD_SECONDS_MAX: 900,
      BERTH_METRICS: "on",
      BERTH_ENDPOINTS: "on",
    });
    expect(settingsOf({}).DATABASE_URL).toBeUndefined();
    expect(settingsOf({}).REDIS_URL).toBeUndefined();
  });

  it.each<[Env, object]>([
    [
      { SERVER_HOST: "10.0.0.1", SERVER_PORT: "5009" },
      { BERTH_HOST: "10.0.0.1", BERTH_PORT: 5009 },
    ],
    [{ LOG_LEVEL: "WARN" }, { BERTH_LOG_LEVEL: "warn" }],
    [{ MAX_PLUGIN_PACKAGE_SIZE: "52428801" }, { BERTH_PACKAGE_MB_MAX: 51 }],
    [{ MAX_PLUGIN_PACKAGE_SIZE: "0" }, { BERTH_PACKAGE_MB_MAX: 50 }],
    [{ MAX_BUNDLE_PACKAGE_SIZE: "1048576" }, { BERTH_BUNDLE_MB_MAX: 1 }],
    [{ RESPONSE_MAX_BUFFER_SIZE: "31457281" }, { BERTH_DIFY_INNER_FRAME_MB_MAX: 31 }],
    [{ PERSISTENCE_STORAGE_MAX_SIZE: "1" }, { BERTH_PLUGIN_STORE_MB_MAX: 1 }],
    [{ PLUGIN_MAX_EXECUTION_TIMEOUT: "1800" }, { BERTH_PLUGIN_SECONDS_MAX: 1800 }],
    [{ PLUGIN_INSTALL_TIMEOUT: "20" }, { BERTH_BUILD_SECONDS_MAX: 1200 }],
    [
      { PYTHON_ENV_INIT_TIMEOUT: "240" },
      { BERTH_START_SECONDS_MAX: 240, BERTH_BUILD_SILENCE_SECONDS_MAX: 240 },
    ],
    [{ PLUGIN_STDIO_MAX_BUFFER_SIZE: "5242880" }, { BERTH_PLUGIN_FRAME_MB_MAX: 16 }],
    [
      { PLUGIN_STDIO_MAX_BUFFER_SIZE: "33554432", PLUGIN_RUNTIME_MAX_BUFFER_SIZE: "1048576" },
      { BERTH_PLUGIN_FRAME_MB_MAX: 32 },
    ],
    [{ PLUGIN_LOCAL_LAUNCHING_CONCURRENT: "4" }, { BERTH_BUILDS_MAX: 4 }],
    [{ PIP_MIRROR_URL: "https://m/simple" }, { BERTH_PACKAGE_INDEX_URL: "https://m/simple" }],
    [
      { PROMETHEUS_ENABLED: "false", PLUGIN_ENDPOINT_ENABLED: "0" },
      { BERTH_METRICS: "off", BERTH_ENDPOINTS: "off" },
    ],
    [{ FORCE_VERIFYING_SIGNATURE: "false" }, { BERTH_SIGNATURE_POLICY: "warn" }],
    [{ ENFORCE_LANGGENIUS_PLUGIN_SIGNATURES: "False" }, { BERTH_SIGNATURE_LANGGENIUS: "no" }],
    [
      {
        THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED: "true",
        THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS: "/a.pem,/b.pem",
      },
      { BERTH_TRUSTED_KEYS: "/a.pem,/b.pem" },
    ],
    [{ ADMIN_API_ENABLED: "true", ADMIN_API_KEY: "k" }, { BERTH_DIFY_ADMIN_KEY: "k" }],
    [
      { DIFY_INNER_API_URL: "http://api:5001", DIFY_INNER_API_KEY: "k" },
      { BERTH_DIFY_INNER_URL: "http://api:5001", BERTH_DIFY_INNER_KEY: "k" },
    ],
    [
      {
        PLUGIN_STORAGE_LOCAL_ROOT: "/app/storage",
        PERSISTENCE_STORAGE_PATH: "./kept/",
        PLUGIN_INSTALLED_PATH: "/in",
      },
      { BERTH_STORAGE: "/app/storage", BERTH_STORAGE_PERSISTENCE: "kept", BERTH_STORAGE_INSTALLED: "in" },
    ],
    [{ DB_MAX_OPEN_CONNS: "7" }, { BERTH_DATABASE_POOL: 7 }],
    [
      { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "db" },
      { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "db" },
    ],
  ])("%j mean %j", (env, expected) => {
    expect(settingsOf(env)).toMatchObject(expected);
  });

  it("of the key for /admin count only if the routes are enabled", () => {
    expect(settingsOf({ ADMIN_API_KEY: "k" }).BERTH_DIFY_ADMIN_KEY).toBeUndefined();
    expect(problemsOf({ ...KEY, ADMIN_API_ENABLED: "true" })).toContain("ADMIN_API_KEY is not set");
  });

  it("of the database form its URL, whatever the password contains", () => {
    const password = "p@ss:w/rd?#% +é";
    const url = settingsOf({ ...DATABASE, DB_PASSWORD: password, DB_PORT: "5433", DB_SSL_MODE: "require" });
    expect(urlOf(url.DATABASE_URL)).toMatchObject({
      scheme: "postgresql",
      username: "postgres",
      password,
      path: "dify_plugin",
      hosts: [{ host: "db", port: 5433 }],
      params: new Map([["sslmode", "require"]]),
    });
    expect(urlOf(settingsOf({ ...DATABASE, DB_HOST: "fd00::1" }).DATABASE_URL).hosts).toEqual([
      { host: "fd00::1", port: 5432 },
    ]);
    const socket = urlOf(settingsOf({ ...DATABASE, DB_HOST: "/run/postgresql" }).DATABASE_URL);
    expect([socket.hosts, socket.params.get("host")]).toEqual([[], "/run/postgresql"]);
  });

  it("of Redis form its URL: a single server, with TLS, behind Sentinels", () => {
    const plain = settingsOf({ REDIS_HOST: "redis", REDIS_PASSWORD: "p:@/", REDIS_DB: "3" });
    expect(urlOf(plain.REDIS_URL)).toMatchObject({
      scheme: "redis",
      username: undefined,
      password: "p:@/",
      path: "3",
      hosts: [{ host: "redis", port: 6379 }],
    });
    const secure = settingsOf({
      REDIS_HOST: "redis",
      REDIS_PORT: "6380",
      REDIS_USERNAME: "u",
      REDIS_USE_SSL: "true",
      REDIS_SSL_CA_CERTS: "/ca.pem",
    });
    expect(urlOf(secure.REDIS_URL)).toMatchObject({
      scheme: "rediss",
      username: "u",
      path: "0",
      hosts: [{ host: "redis", port: 6380 }],
      params: new Map([["sslrootcert", "/ca.pem"]]),
    });
    const group = settingsOf({
      REDIS_USE_SENTINEL: "true",
      REDIS_SENTINELS: "a:1, b:2",
      REDIS_SENTINEL_SERVICE_NAME: "main",
      REDIS_SENTINEL_PASSWORD: "s p",
      REDIS_HOST: "unused",
    });
    expect(urlOf(group.REDIS_URL)).toMatchObject({
      scheme: "redis+sentinel",
      path: "main/0",
      hosts: [
        { host: "a", port: 1 },
        { host: "b", port: 2 },
      ],
      params: new Map([["sentinel_password", "s p"]]),
    });
  });

  it("of a bucket count only if it is the storage, and the endpoint defaults to that of AWS", () => {
    const names = {
      PLUGIN_STORAGE_OSS_BUCKET: "plugins",
      AWS_REGION: "eu-west-1",
      S3_USE_PATH_STYLE: "false",
      AWS_ACCESS_KEY: "id",
      AWS_SECRET_KEY: "secret",
    };
    expect(settingsOf({ ...names, S3_ENDPOINT: "http://dify-own:9000" }).BERTH_S3_BUCKET).toBeUndefined();
    const type = { PLUGIN_STORAGE_TYPE: "aws_s3" };
    expect(settingsOf({ ...type, ...names })).toMatchObject({
      BERTH_S3_BUCKET: "plugins",
      BERTH_S3_ENDPOINT: "https://s3.eu-west-1.amazonaws.com",
      BERTH_S3_REGION: "eu-west-1",
      BERTH_S3_PATH_STYLE: "no",
      BERTH_S3_ACCESS_KEY_ID: "id",
      BERTH_S3_SECRET_ACCESS_KEY: "secret",
    });
    const managed = settingsOf({ ...type, ...names, S3_USE_AWS_MANAGED_IAM: "true" });
    expect(managed.BERTH_S3_ACCESS_KEY_ID).toBeUndefined();
    const own = { ...type, ...names, S3_USE_AWS: "false", S3_ENDPOINT: "http://minio:9000" };
    expect(settingsOf(own).BERTH_S3_ENDPOINT).toBe("http://minio:9000");
    expect(problemsOf({ ...KEY, ...own, S3_ENDPOINT: "" })).toContain("S3_ENDPOINT is not set");
    expect(problemsOf({ ...KEY, ...type })).toContain("PLUGIN_STORAGE_OSS_BUCKET is not set");
    expect(settingsOf({ ...own, PLUGIN_STORAGE_LOCAL_ROOT: "/app/storage" }).BERTH_STORAGE).toBeUndefined();
  });

  it("are overridden by Berth's own, and one line says so for each", () => {
    const env = { ...DATABASE, SERVER_PORT: "1", BERTH_PORT: "2", DATABASE_URL: "postgresql://own/own" };
    expect(settingsOf(env)).toMatchObject({ BERTH_PORT: 2, DATABASE_URL: "postgresql://own/own" });
    expect(notesOf(env)).toEqual([
      "SERVER_PORT is ignored: BERTH_PORT is set and overrides it",
      expect.stringMatching(/^DB_USERNAME, .* is ignored: DATABASE_URL is set and overrides it$/),
    ]);
    expect(settingsOf({ FORCE_VERIFYING_SIGNATURE: "true", BERTH_SIGNATURE_POLICY: "off" })).toMatchObject({
      BERTH_SIGNATURE_POLICY: "off",
    });
  });

  it("that are ignored get one line each, which says why or what to use instead", () => {
    const env = {
      UV_PATH: "/uv",
      SENTRY_DSN: "",
      DB_MAX_IDLE_CONNS: "10",
      DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT: "240000",
    };
    expect(notesOf(env)).toEqual([
      "DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT is ignored: a call back may take as long as the call that it belongs to",
      "UV_PATH is ignored: the runtime image has its own uv",
      "DB_MAX_IDLE_CONNS is ignored: use BERTH_DATABASE_POOL",
    ]);
  });

  it("of the debug port open it where the port is set, unless it is switched off", () => {
    const env = { PLUGIN_REMOTE_INSTALLING_HOST: "0.0.0.0", PLUGIN_REMOTE_INSTALLING_PORT: "5003" };
    expect(settingsOf(env)).toMatchObject({ BERTH_DEBUG_HOST: "0.0.0.0", BERTH_DEBUG_PORT: 5003 });
    expect(settingsOf({ ...env, PLUGIN_REMOTE_INSTALLING_ENABLED: "false" }).BERTH_DEBUG_PORT).toBe(0);
    expect(settingsOf({ PLUGIN_REMOTE_INSTALLING_ENABLED: "true" }).BERTH_DEBUG_PORT).toBe(0);
    expect(problemsOf({ ...KEY, PLUGIN_REMOTE_INSTALLING_ENABLED: "on" })).toContain(
      'PLUGIN_REMOTE_INSTALLING_ENABLED is "on"',
    );
  });

  it.each<[Env, string]>([
    [{ DB_TYPE: "mysql" }, 'DB_TYPE is "mysql"; accepted: postgresql'],
    [{ DB_TYPE: "pgbouncer" }, 'DB_TYPE is "pgbouncer"; accepted: postgresql'],
    [{ PLUGIN_STORAGE_TYPE: "azure_blob" }, 'PLUGIN_STORAGE_TYPE is "azure_blob"; accepted: local, aws_s3'],
    [{ PLATFORM: "serverless" }, 'PLATFORM is "serverless"; accepted: local'],
    [{ REDIS_USE_AZURE_MANAGED_IDENTITY: "true" }, "REDIS_USE_AZURE_MANAGED_IDENTITY is"],
    [{ DB_EXTRAS: "options=-c search_path=x" }, "DB_EXTRAS is"],
    [{ DB_HOST: "db" }, "DB_USERNAME is not set; accepted: all of"],
    [{ ...DATABASE, DB_SSL_MODE: "prefer" }, 'DB_SSL_MODE is "prefer"; accepted: disable, require'],
    [{ ...DATABASE, DB_PORT: "x" }, 'DB_PORT is "x"; accepted: a whole number'],
    [{ REDIS_HOST: "r", REDIS_USE_SSL: "maybe" }, 'REDIS_USE_SSL is "maybe"; accepted: true, false'],
    [{ REDIS_USE_SENTINEL: "true" }, "REDIS_SENTINEL_SERVICE_NAME is not set"],
    [{ LOG_LEVEL: "LOUD" }, 'LOG_LEVEL is "LOUD"; accepted: DEBUG, INFO, WARN, ERROR'],
    [
      { MAX_PLUGIN_PACKAGE_SIZE: "50MB" },
      'MAX_PLUGIN_PACKAGE_SIZE is "50MB"; accepted: a whole number of bytes',
    ],
    [
      { SERVER_PORT: "70000" },
      'SERVER_PORT (which is BERTH_PORT) is "70000"; accepted: a whole number from 0 to 65535',
    ],
    [{ PIP_MIRROR_URL: "secret@nowhere" }, "PIP_MIRROR_URL (which is BERTH_PACKAGE_INDEX_URL) is not usable"],
    [{ FORCE_VERIFYING_SIGNATURE: "sure" }, 'FORCE_VERIFYING_SIGNATURE is "sure"; accepted: true, false'],
    [{ PLUGIN_INSTALLED_PATH: "a", PLUGIN_MEDIA_CACHE_PATH: "a/b" }, "overlap"],
    [{ PLUGIN_PACKAGE_CACHE_PATH: "../x" }, "PLUGIN_PACKAGE_CACHE_PATH (which is BERTH_STORAGE_PACKAGES)"],
  ])("%j stop the start, and the problem contains the daemon's name", (env, text) => {
    expect(problemsOf({ ...KEY, ...env })).toContain(text);
  });

  it("of secrets may point to files instead", async () => {
    const folder = await mkdtemp(join(tmpdir(), "berth-names-"));
    await writeFile(join(folder, "key"), "from-a-file\n");
    const { settings } = readConfig(
      {
        SERVER_KEY_FILE: join(folder, "key"),
        ...DATABASE,
        DB_PASSWORD: "",
        DB_PASSWORD_FILE: join(folder, "key"),
      },
      [],
    );
    expect(settings.BERTH_DIFY_KEY).toBe("from-a-file");
    expect(urlOf(settings.DATABASE_URL).password).toBe("from-a-file");
    const both = { SERVER_KEY: "x", SERVER_KEY_FILE: join(folder, "key") };
    expect(problemsOf(both)).toContain("SERVER_KEY and SERVER_KEY_FILE are both set");
    expect(problemsOf({ SERVER_KEY_FILE: join(folder, "none") })).toContain("SERVER_KEY_FILE is");
    await rm(folder, { recursive: true });
  });
});

describe("a publicly known key", () => {
  it.each(["SERVER_KEY", "BERTH_DIFY_KEY"])(
    "is refused in %s unless a setting accepts it explicitly",
    (name) => {
      for (const key of PUBLISHED_KEYS) {
        expect(problemsOf({ [name]: key })).toContain("BERTH_DIFY_KEY_DEFAULT=accept");
        expect(problemsOf({ [name]: key })).not.toContain(key);
        expect(problemsOf({ [name]: key, BERTH_DIFY_KEY_DEFAULT: "accept" })).toBe("");
      }
      expect(problemsOf({ [name]: `${published}x` })).toBe("");
    },
  );
});

it("the built-in key of the marketplace is a valid key", () => {
  expect(marketplaceKey()).toMatchObject({ name: "dify-marketplace", id: expect.stringMatching(/^\S+$/) });
});
