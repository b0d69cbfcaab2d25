import { useEffect, useState } from 'react';

/** Colors of the page as a canvas accepts them. */
export type ThemeColors = ReturnType<typeof readColors>;

const DARK = '(prefers-color-scheme: dark)';

/** Returns the colors of the theme, and new ones after a change between light and dark. */
export function useThemeColors(): ThemeColors {
  const [colors, setColors] = useState(readColors);
  useEffect(() => {
    const query = matchMedia(DARK);
    const update = () => setColors(readColors());
    query.addEventListener('change', update);
    return () => query.removeEventListener('change', update);
  }, []);
  return colors;
}

/** A canvas cannot read custom properties, so an element resolves them. */
function readColors() {
  const probe = document.createElement('span');
  document.body.append(probe);
  const read = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = {
    accent: read('accent'),
    'accent-soft': read('accent-soft'),
    'danger-ink': read('danger-ink'),
    muted: read('muted'),
    line: read('line'),
    surface: read('surface'),
  };
  probe.remove();
  return colors;
}
