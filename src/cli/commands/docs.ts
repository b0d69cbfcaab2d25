import type { Command } from 'commander';
import { listDocs, readDoc } from '../../platform/assets.ts';
import { CliError, print } from '../output.ts';

export function registerDocsCommand(program: Command): void {
  program
    .command('docs')
    .description('Print a page of the manual, or an example such as hangup.service')
    .argument('[page]', 'Name of the page; without a name, list all pages')
    .action((page?: string) => {
      if (page === undefined) {
        print(listDocs().join('\n'));
        return;
      }
      // Pages refer to each other as docs/NAME.md.
      const text = readDoc(page.replace(/^docs\//, '').replace(/\.md$/, ''));
      if (text === null) throw new CliError(`page not found: ${page}; \`hangup docs\` lists all pages`);
      print(text.trimEnd());
    });
}
