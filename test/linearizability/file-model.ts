/** What a client does with one file, as a register that may be empty. Values stand for the bytes, one for one. */
export type FileOperation =
  | { readonly type: "deposit"; readonly value: string }
  | { readonly type: "create"; readonly value: string } // If-None-Match: *
  | { readonly type: "compare-and-set"; readonly expected: string; readonly value: string } // If-Match
  | { readonly type: "delete" }
  | { readonly type: "retrieve" };

/** What the client was told. */
export type FileResult =
  | { readonly type: "deposited"; readonly how: "created" | "replaced" | "unchanged" }
  | { readonly type: "precondition-failed" }
  | { readonly type: "deleted" }
  | { readonly type: "missing" }
  | { readonly type: "found"; readonly value: string };

/** What stands under the name; undefined: nothing. */
export type FileState = string | undefined;

/** What a file in `state` does with an operation: the one sequential truth all histories are held against. */
export function perform(
  state: FileState,
  operation: FileOperation,
): { readonly state: FileState; readonly result: FileResult } {
  switch (operation.type) {
    case "deposit":
      return deposit(state, operation.value);
    case "create":
      return state === undefined ? deposit(state, operation.value) : refused(state);
    case "compare-and-set":
      return state === operation.expected ? deposit(state, operation.value) : refused(state);
    case "delete":
      return { state: undefined, result: state === undefined ? { type: "missing" } : { type: "deleted" } };
    case "retrieve":
      return { state, result: state === undefined ? { type: "missing" } : { type: "found", value: state } };
  }
}

function deposit(state: FileState, value: string): { readonly state: FileState; readonly result: FileResult } {
  const how = state === undefined ? "created" : state === value ? "unchanged" : "replaced";
  return { state: value, result: { type: "deposited", how } };
}

function refused(state: FileState): { readonly state: FileState; readonly result: FileResult } {
  return { state, result: { type: "precondition-failed" } };
}

export function sameResult(one: FileResult, other: FileResult): boolean {
  switch (one.type) {
    case "deposited":
      return other.type === "deposited" && one.how === other.how;
    case "found":
      return other.type === "found" && one.value === other.value;
    case "precondition-failed":
    case "deleted":
    case "missing":
      return other.type === one.type;
  }
}
