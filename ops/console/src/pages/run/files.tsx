// What the run left: pictures as a filmstrip, everything else as a list.
import { useState } from "react";
import { fileUrl, type Schemas } from "../../api/client";
import { useMay } from "../../api/session";
import { clock } from "../../lib/time";
import { bytes } from "../../lib/words";
import { Empty, Fault, Loading } from "../../ui/basics";
import { Dialog } from "../../ui/dialog";

type Artifact = Schemas["ArtifactView"];

interface FilesProps {
  files: readonly Artifact[] | undefined;
  steps: readonly Schemas["StepView"][];
  error: unknown;
}

export function Files({ files, steps, error }: FilesProps) {
  const [shown, setShown] = useState<Artifact>();
  const may = useMay();
  if (error != null) return <Fault error={error} />;
  if (files === undefined) return <Loading />;
  if (files.length === 0) return <Empty title="The run has left no files." />;
  const mayOpen = may("trigger", "operate", "answer");
  const stepName = (seq: number | null | undefined) => steps.find((step) => step.seq === seq)?.name ?? "";
  const isPicture = ({ content_type }: Artifact) => mayOpen && content_type.startsWith("image/");
  const pictures = files.filter(isPicture);
  const others = files.filter((file) => !isPicture(file));
  return (
    <>
      {pictures.length > 0 && (
        <ul className="filmstrip">
          {pictures.map((file) => (
            <li key={file.id}>
              <button type="button" onClick={() => setShown(file)}>
                <img src={fileUrl(file.id)} alt={`${file.filename} of ${stepName(file.step)}`} loading="lazy" />
                <span className="clip">{stepName(file.step)}</span>
                <small>{clock(file.created_at)}</small>
              </button>
            </li>
          ))}
        </ul>
      )}
      <ul className="rows">
        {others.map((file) => (
          <li key={file.id}>
            {mayOpen ? <a href={fileUrl(file.id)}>{file.filename}</a> : <span>{file.filename}</span>}
            <span className="clip">{stepName(file.step)}</span>
            <span>{file.content_type}</span>
            <span className="number">{bytes(file.size_bytes)}</span>
          </li>
        ))}
      </ul>
      {shown !== undefined && (
        <Dialog title={`${shown.filename}, ${stepName(shown.step)}`} wide onClose={() => setShown(undefined)}>
          <img className="picture" src={fileUrl(shown.id)} alt={shown.filename} />
          <p className="hint">
            {shown.content_type}, {bytes(shown.size_bytes)}, <code>{shown.id}</code> ·{" "}
            <a href={fileUrl(shown.id)}>save</a>
          </p>
        </Dialog>
      )}
    </>
  );
}
