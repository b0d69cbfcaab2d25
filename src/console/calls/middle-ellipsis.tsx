import { classNames } from '../ui/class-names.ts';

/** Length of the end that always stays visible: the ends of ids differ, and their begins are often the same. */
const END = 8;

/** One line of text. If the place is too small, the middle is left out. The complete text is shown on hover. */
export function MiddleEllipsis({ text, className }: { text: string; className?: string }) {
  const characters = [...text];
  const end = characters.slice(-END).join('');
  return (
    <span title={text} className={classNames('flex min-w-0 whitespace-pre', className)}>
      <span className="truncate">{characters.slice(0, -END).join('')}</span>
      <span className="shrink-0">{end}</span>
    </span>
  );
}
