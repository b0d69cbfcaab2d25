/**
 * Copies the text of a field. Returns false if the browser does not permit it; the text is selected then, so that the
 * reader can copy it. Pages over http have no navigator.clipboard.
 */
export async function copyFrom(field: HTMLInputElement): Promise<boolean> {
  field.focus();
  field.select();
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(field.value);
      return true;
    } catch {
      // The reader has refused the permission.
    }
  }
  return document.execCommand('copy');
}
