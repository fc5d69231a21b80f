import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Where every part registers its own counters, gauges and histograms; served at `/metrics`. */
export type Metrics = Registry;
export { Counter, Gauge, Histogram };

export function createMetrics(): Metrics {
  return new Registry();
}
