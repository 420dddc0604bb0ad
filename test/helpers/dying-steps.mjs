// Preloaded (NODE_OPTIONS=--import): kills this process before its VOUCHSAFE_DIE_AT-th step: a call that changes files, or a request.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const dieAt = Number(process.env.VOUCHSAFE_DIE_AT);
let steps = 0;
const step = () => {
  steps += 1;
  if (steps === dieAt) process.kill(process.pid, 'SIGKILL');
};
for (const name of ['mkdirSync', 'writeSync', 'fsyncSync', 'renameSync', 'unlinkSync', 'writeFileSync']) {
  const call = fs[name];
  fs[name] = (...args) => {
    step();
    return call(...args);
  };
}
syncBuiltinESMExports();
const { fetch } = globalThis;
globalThis.fetch = async (...args) => {
  step();
  const answer = await fetch(...args);
  // The service has done it, and nobody here knows.
  step();
  return answer;
};
