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

/** Formats a report for people: the findings by group, how to fix them, and the totals. */
export function printReport({ url, dialects, findings }: Report): string {
  const groups = [...new Set(findings.map(({ group }) => group))];
  const blocks = groups.map((group) =>
    [TITLES[group], ...findings.filter((each) => each.group === group).flatMap(formatFinding)].join('\n'),
  );
  const countOf = (ok: GroupedFinding['ok']) => findings.filter((each) => each.ok === ok).length;
  const dialectList = dialects.length === 0 ? '' : ` Dialects: ${dialects.join(', ')}.`;
  const total = `${countOf(true)} fine, ${countOf(false)} wrong, ${countOf('hint')} to know.${dialectList}`;
  return [url, ...blocks, total].join('\n\n');
}

function formatFinding({ ok, name, message, fix }: GroupedFinding): string[] {
  const line = `  ${MARKS[`${ok}`]} ${name}: ${message}`;
  return fix === undefined ? [line] : [line, `      → ${fix}`];
}
