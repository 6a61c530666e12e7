cd /tmp/exp/mut
R=packages/rx/test
node drive.mjs ingest rx/src/ingest/ingest.ts 600 75 $R/policies.test.ts $R/waiting-frames.test.ts $R/stop.test.ts $R/sinks.test.ts
