// Says which Node runs the scripts, once run.mjs has made sure of the packages: the first step of .ci/run.
process.stdout.write(`The packages are there; scripts run on Node ${process.version}.\n`);
