import type { GroupedFinding, Report } from './check.ts';

const MARKS = { true: '✓', false: '✗', hint: '·' } as const;

const TITLES: Record<GroupedFinding['group'], string> = {
  service: 'Service',
  documents: 'Documents',
  'protected resource': 'Protected resource (RFC 9728)',
  'authorization server': 'Authorization server (RFC 8414)',
  agent_auth: 'The agent_auth block',
  answers: 'Answers',
  'agent-configuration': 'Agent Auth Protocol',
};

/** The report as people read it: what was found by group, what to do about it, and how it adds up. */
export function printReport({ url, dialects, findings }: Report): string {
  const groups = [...new Set(findings.map(({ group }) => group))];
  const blocks = groups.map((group) =>
    [TITLES[group], ...findings.filter((each) => each.group === group).flatMap(lines)].join('\n'),
  );
  const count = (ok: GroupedFinding['ok']) => findings.filter((each) => each.ok === ok).length;
  const speaks = dialects.length === 0 ? '' : ` Dialects: ${dialects.join(', ')}.`;
  const total = `${count(true)} fine, ${count(false)} wrong, ${count('hint')} to know.${speaks}`;
  return [url, ...blocks, total].join('\n\n');
}

function lines({ ok, name, message, fix }: GroupedFinding): string[] {
  const line = `  ${MARKS[`${ok}`]} ${name}: ${message}`;
  return fix === undefined ? [line] : [line, `      → ${fix}`];
}
