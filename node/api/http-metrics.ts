import { Counter, Histogram, type Metrics } from "../base/metrics.ts";

/** What the API counts about itself. */
export class HttpMetrics {
  readonly #requests: Counter<"route" | "method" | "status">;
  readonly #seconds: Histogram<"route">;
  readonly #bytes: Counter<"direction">;

  constructor(registry: Metrics) {
    const registers = [registry];
    this.#requests = new Counter({
      name: "deposito_http_requests_total",
      help: "Requests answered or broken off, by route, method and status (0: no answer)",
      labelNames: ["route", "method", "status"],
      registers,
    });
    this.#seconds = new Histogram({
      name: "deposito_http_request_seconds",
      help: "From the request's header fields to the end of its answer",
      labelNames: ["route"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
      registers,
    });
    this.#bytes = new Counter({
      name: "deposito_http_file_bytes_total",
      help: "Bytes of files that clients sent (in) and received (out)",
      labelNames: ["direction"],
      registers,
    });
  }

  answered(route: string, method: string, status: number, seconds: number): void {
    this.#requests.inc({ route, method, status: String(status) });
    this.#seconds.observe({ route }, seconds);
  }

  fileBytes(direction: "in" | "out", count: number): void {
    this.#bytes.inc({ direction }, count);
  }
}
