import type { Command } from 'commander';
import { listDocs, readDoc } from '../../platform/assets.ts';
import { print, Refused } from '../output.ts';

/** `hangup docs`: the operator's pages, which the single file holds. */
export function addDocs(hangup: Command): void {
  hangup
    .command('docs')
    .description("print one of the operator's pages, or an example such as hangup.service")
    .argument('[page]', 'which one; none lists them')
    .action((page?: string) => {
      if (page === undefined) {
        print(listDocs().join('\n'));
        return;
      }
      // Pages name each other so.
      const text = readDoc(page.replace(/^docs\//, '').replace(/\.md$/, ''));
      if (text === null) throw new Refused(`there is no page ${page}; \`hangup docs\` lists them`);
      print(text.trimEnd());
    });
}
