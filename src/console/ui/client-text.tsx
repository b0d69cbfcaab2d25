import { showControls } from './isolate.ts';

/** The text of a client, such as a name. Its direction does not reorder the text around it. */
export function ClientText({ text }: { text: string }) {
  return <bdi>{showControls(text)}</bdi>;
}

/** A name with an id. */
export function NameAndId({ name, id }: { name: string; id: string }) {
  return (
    <>
      <ClientText text={name} /> (<ClientText text={id} />)
    </>
  );
}
