import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vouchsafe } from '../helpers/cli.ts';
import { test } from '../helpers/suite.ts';

/** The scripts that shells complete by, each in its shell. */

const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-completion-'));
test.before(async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout } = await vouchsafe(['completion', shell], folder);
    writeFileSync(join(folder, shell), stdout);
  }
  mkdirSync(join(folder, 'files'));
  writeFileSync(join(folder, 'files', 'request.vauth.json'), '');
});
test.after(() => rmSync(folder, { recursive: true }));

/** Words before the one that is completed, that word, and what must be offered and must not. */
const CASES = [
  { typed: ['auth', 're'], offers: ['request', 'retry'], not: ['caps'] },
  { typed: ['auth', 'request', '--e'], offers: ['--expiry', '--emit'], not: ['--cap'] },
  { typed: ['auth', 'login', '--method', ''], offers: ['browser', 'agent', 'key'], not: ['--json'] },
  { typed: ['auth', 'import', 'files/re'], offers: ['files/request.vauth.json'], not: ['--stdin'] },
  { typed: ['wor'], offers: ['workspace'], not: ['agent'] },
  { typed: ['resource', 're'], offers: ['remove'], not: ['add'] },
  { typed: ['nodes', 'import', '--re'], offers: ['--resource', '--replace'], not: ['--workspace'] },
  { typed: ['client', 'list', '--status', ''], offers: ['active', 'unused'], not: ['--json'] },
  { typed: ['nodes', 'import', 'files/re'], offers: ['files/request.vauth.json'], not: ['--workspace'] },
  { typed: ['restore', '--revocations', 'files/re'], offers: ['files/request.vauth.json'], not: ['--json'] },
  { typed: ['--json', 'workspace', 'l'], offers: ['list'], not: ['show'] },
];

const RUNNERS = {
  bash: (typed: string[]) => {
    const words = ['vouchsafe', ...typed].map(quoted).join(' ');
    const script = `source ./bash; COMP_WORDS=(${words}); COMP_CWORD=${typed.length}; _vouchsafe; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync('bash', ['--norc', '-c', script], { cwd: folder, encoding: 'utf8' });
  },
  zsh: (typed: string[]) => {
    // The functions of the completion system say what they are handed; they work in a line editor alone.
    const current = typed.at(-1)!;
    const script = `
      compdef() {}
      compadd() { shift; print -rl -- "$@" }
      _files() { print -rl -- ${quoted(current)}*(N) }
      _describe() { local each; for each in "\${(@P)2}"; do print -r -- "\${each%%:*}"; done }
      source ./zsh; words=(vouchsafe ${typed.map(quoted).join(' ')}); CURRENT=${typed.length + 1}
      _vouchsafe | grep -e ^${quoted(current)}`;
    return spawnSync('zsh', ['-fc', script], { cwd: folder, encoding: 'utf8' });
  },
  fish: (typed: string[]) => {
    const line = ['vouchsafe', ...typed].join(' ');
    return spawnSync('fish', ['-N', '-c', `source ./fish; complete -C ${quoted(line)}`], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, HOME: folder },
    });
  },
} as const;

for (const [shell, run] of Object.entries(RUNNERS)) {
  test.skipIf(isMissing(shell) && `there is no ${shell}`)(
    `${shell} completes commands, options, their words and files`,
    (t) => {
      for (const { typed, offers, not } of CASES) {
        const { stdout, stderr } = run(typed);
        t.is(stderr, '', typed.join(' '));
        const offered = stdout.split('\n').map((line) => line.split('\t')[0]!);
        for (const each of offers) t.true(offered.includes(each), `${typed.join(' ')}: ${each} in ${stdout}`);
        for (const each of not) t.false(offered.includes(each), `${typed.join(' ')}: ${each}`);
      }
    },
  );
}

test.skipIf(isMissing('bash') && 'there is no bash')('what follows -- is left to the shell', (t) => {
  const { stdout } = RUNNERS.bash(['nodes', 'import', '--', 'files/re']);
  t.is(stdout.trim(), '');
});

test('a shell that is not known is refused by name', async (t) => {
  const { code, stderr } = await vouchsafe(['completion', 'tcsh'], folder);
  t.is(code, 2);
  t.regex(stderr, /bash, zsh, fish/);
});

function isMissing(shell: string): boolean {
  return spawnSync(shell, ['-c', 'true']).error !== undefined;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
