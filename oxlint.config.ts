import { defineConfig } from "oxlint";

/**
 * The layers of node/, lowest first: a folder imports only from folders before it, and the two doors, api and peer-api,
 * not from each other. `also` narrows further what a folder may touch.
 */
const layers = [
  "base",
  "raft",
  "catalog",
  "storage",
  "backup",
  "transport",
  "replication",
  "depot",
  "peer-api",
  "api",
] as const;
type Layer = (typeof layers)[number];

const also: Partial<Record<Layer, readonly Restriction[]>> = {
  raft: [
    { regex: "^[^.]", message: "raft is pure: no packages and no node: modules." },
    {
      group: ["../base/*", "!../base/ids.ts", "!../base/invariant.ts"],
      message: "raft imports from base only ids.ts and invariant.ts.",
    },
  ],
  catalog: [
    {
      regex: "^(node:)?(fs|net|http|https|http2|tls|dns|os|child_process|worker_threads|cluster|timers)(/|$)",
      message: "catalog is pure: no disk, network, process or timer.",
    },
  ],
  api: [{ regex: "^(\\.\\./)+peer-api/", message: "The two doors do not import from each other." }],
};

interface Restriction {
  readonly regex?: string;
  readonly group?: string[];
  readonly message: string;
}

/** Outside node/, api alone knows the wire types it shares with clients. Packages that one folder has to itself. LevelDB is narrower still: test/tidy.test.ts allows one file. */
const ownedPackages: Readonly<Record<string, readonly Layer[]>> = {
  express: ["api", "peer-api"],
  level: ["storage"],
  undici: ["transport"],
};

function restrictionsOf(layer: Layer): Restriction[] {
  const above = layers.slice(layers.indexOf(layer) + 1);
  const foreign = Object.entries(ownedPackages).filter(([, owners]) => !owners.includes(layer));
  return [
    {
      regex: `^(\\.\\./)+(${[...above, ...(layer === "api" ? [] : ["client"]), "scripts", "test", "bench"].join("|")})/`,
      message: `${layer} imports only from the layers below it: ${layers.slice(0, layers.indexOf(layer)).join(", ")}.`,
    },
    {
      regex: "^(\\.\\./)+(node|main|config|listen|group|workshop|network|surroundings)\\.ts$",
      message: "The composition root imports the layers, never the other way round.",
    },
    ...foreign.map(([name, owners]) => ({
      regex: `^${name}(/|$)`,
      message: `${name} belongs to ${owners.map((owner) => `node/${owner}/`).join(" and ")}.`,
    })),
    ...(also[layer] ?? []),
  ];
}

export default defineConfig({
  plugins: ["typescript", "import", "unicorn", "oxc", "promise", "node"],
  categories: { correctness: "error" },
  ignorePatterns: ["dist", "data", "coverage"],
  rules: {
    // A forgotten await on a sync is a lost deposit.
    "typescript/no-floating-promises": ["error", { ignoreVoid: true }],
    "typescript/no-misused-promises": "error",
    "typescript/await-thenable": "error",
    "typescript/return-await": ["error", "error-handling-correctness-only"],
    "typescript/prefer-promise-reject-errors": ["error", { allowThrowingUnknown: true, allowThrowingAny: true }],
    "typescript/only-throw-error": ["error", { allowThrowingUnknown: true, allowThrowingAny: true }],
    "no-async-promise-executor": "error",

    // A default is fine where strings come from outside; test/tidy.test.ts refuses it where a union's `type` is switched on.
    "typescript/switch-exhaustiveness-check": [
      "error",
      { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: false },
    ],
    "typescript/no-explicit-any": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/ban-ts-comment": "error",
    "typescript/consistent-type-imports": "error",
    "no-empty": "error",
    "no-control-regex": "off", // control characters are what names and headers are searched for
    eqeqeq: "error",
    "no-var": "error",
    "prefer-const": "error",
    "no-restricted-exports": ["error", { restrictDefaultExports: { direct: true } }],
    "import/no-cycle": "error",
    "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_", caughtErrors: "all" }],
  },
  overrides: [
    // node:test's functions return promises that the runner itself awaits.
    {
      files: ["test/**", "bench/**"],
      rules: {
        "typescript/no-floating-promises": [
          "error",
          {
            ignoreVoid: true,
            allowForKnownSafeCalls: [
              { from: "package", package: "node:test", name: ["test", "it", "describe", "suite", "before", "after"] },
            ],
          },
        ],
        "typescript/no-non-null-assertion": "off",
        "typescript/unbound-method": "off", // tests keep a real method while they put a failing one in its place
      },
    },
    { files: ["oxlint.config.ts"], rules: { "no-restricted-exports": "off" } },
    { files: ["node/**"], rules: { "no-console": "error" } },
    ...layers.map((layer) => ({
      files: [`node/${layer}/**`],
      rules: { "no-restricted-imports": ["error", { patterns: restrictionsOf(layer) }] as ["error", object] },
    })),
  ],
});
