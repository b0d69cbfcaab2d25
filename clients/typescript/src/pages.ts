interface Page {
  readonly pagination: { readonly nextCursor: string | null };
}

/** Yields the items of all pages. Reads each page when its first item is needed. */
export async function* allItems<P extends Page, Item>(
  readPage: (cursor: string | undefined) => Promise<P>,
  itemsOf: (page: P) => readonly Item[],
): AsyncGenerator<Item, void, undefined> {
  let cursor: string | undefined;
  do {
    const page = await readPage(cursor);
    yield* itemsOf(page);
    cursor = page.pagination.nextCursor ?? undefined;
  } while (cursor !== undefined);
}
