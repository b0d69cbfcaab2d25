import { LIVE_STATUSES } from '../../domain/call-status.ts';
import { formatTable } from '../output.ts';
import { countCalls, type Preview } from './cancellation.ts';

/** The selector of a stop, as the API expects it. */
export type Selector =
  | { readonly all: true }
  | {
      readonly filter: {
        readonly agentId?: string;
        readonly status?: readonly string[];
        readonly direction?: string;
        readonly phoneNumber?: string;
        readonly startDate?: string;
        readonly endDate?: string;
      };
    };

const MAX_ROWS = 10;

/** Returns lines for a person who decides about a stop: the selector, the number of calls, and some of the calls. */
export function formatPreview(
  { matched, sample }: Preview,
  { selector, hasHold }: { selector: Selector; hasHold: boolean },
): string {
  const statuses = LIVE_STATUSES.map((status) => `${matched[status]} ${status}`).join(', ');
  const lines = [
    `selected: ${describeSelector(selector)}`,
    `hold:     ${hasHold ? 'yes; new calls that match get 409 until the hold is lifted' : 'no'}`,
    `matches:  ${countCalls(matched.total)} (${statuses})`,
  ];
  const shown = sample.slice(0, MAX_ROWS);
  if (shown.length > 0) {
    const rows = shown.map(({ id, status, agent, phoneNumber, createdAt }) => [
      id,
      status,
      agent.id ?? '-',
      phoneNumber ?? '-',
      createdAt,
    ]);
    lines.push('', formatTable([['CALL', 'STATUS', 'AGENT', 'PHONE', 'CREATED'], ...rows]));
  }
  if (matched.total > shown.length) lines.push(`... and ${matched.total - shown.length} more`);
  return lines.join('\n');
}

function describeSelector(selector: Selector): string {
  if ('all' in selector) return "all live calls of the key's organization";
  const { agentId, status, direction, phoneNumber, startDate, endDate } = selector.filter;
  const parts = [
    agentId !== undefined && `agent ${agentId}`,
    status !== undefined && `status ${status.join(' or ')}`,
    direction !== undefined && `direction ${direction}`,
    phoneNumber !== undefined && `phone ${phoneNumber}`,
    startDate !== undefined && `created from ${startDate}`,
    endDate !== undefined && `created until ${endDate}`,
  ];
  return `live calls with ${parts.filter((part) => part !== false).join(', ')}`;
}
