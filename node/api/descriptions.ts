import type { ResponseConfig } from "@asteasolutions/zod-to-openapi";
import { z } from "zod";

/** The path parameter of files and records. */
export const fileNameParameter = z.object({
  name: z.string().meta({
    description: "1 to 1024 bytes of UTF-8, percent-encoded; '/' may stand inside as it is",
    example: "photos/cat.jpg",
  }),
});

/** A reply that is one JSON document. */
export function documents(description: string, schema: z.ZodType): ResponseConfig {
  return { description, content: { "application/json": { schema } } };
}
