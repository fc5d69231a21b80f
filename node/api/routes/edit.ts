import { z } from "zod";
import { editRequest, fileRecord } from "../../../client/wire.ts";
import { recordTag } from "../../catalog/preconditions.ts";
import type { ApiOptions } from "../context.ts";
import { documents, fileNameParameter } from "../descriptions.ts";
import { fileNameOf } from "../exchange.ts";
import { parsePreconditions } from "../headers/entity-tags.ts";
import { readJson } from "../json-body.ts";
import { recordJson } from "../record-json.ts";
import { sendJson } from "../reply.ts";
import type { Route } from "../route.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `PATCH /v1/records/{name}`: changes a file's replica count or media type, not its bytes. */
export function editRoute({ depot, config }: ApiOptions): Route {
  return {
    method: "patch",
    path: "/v1/records/{name}",
    auth: "client",
    describe: {
      summary: "Change a file's replica count or media type",
      request: {
        params: fileNameParameter,
        headers: z.object({
          "If-Match": z.string().optional().meta({ description: 'The record\'s ETag: "v<version>"' }),
        }),
        body: { required: true, content: { "application/json": { schema: editRequest } } },
      },
      responses: { 200: documents("The record as it is now", fileRecord) },
      problems: [
        "invalid-name",
        "invalid-header",
        "invalid-query",
        "invalid-body",
        "upload-timeout",
        "file-not-found",
        "precondition-failed",
        "unsupported-media-type",
        "replicas-out-of-range",
        "not-enough-nodes",
        "not-enough-space",
      ],
    },
    async handle(exchange, { clientId }) {
      const name = fileNameOf(exchange, "/v1/records/");
      readQuery(exchange, noQuery);
      const preconditions = parsePreconditions(exchange.request.headers);
      const idleMs = config.limits.uploadIdleMs;
      const { replicas, contentType } = await readJson(exchange, editRequest, { idleMs, optional: false });
      const record = await depot.edit({ clientId, name, replicas, contentType, preconditions });
      sendJson(exchange, 200, recordJson(record), { ETag: recordTag(record.version) });
    },
  };
}
