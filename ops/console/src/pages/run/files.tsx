// What the run left: pictures as a filmstrip, everything else as a list.
import { useState } from "react";
import { fileUrl, type Schemas } from "../../api/client";
import { useMay } from "../../api/session";
import { clock } from "../../lib/time";
import { bytes } from "../../lib/words";
import { Button, Empty, Fault, Loading } from "../../ui/basics";
import { Dialog } from "../../ui/dialog";

type Artifact = Schemas["ArtifactView"];

/** A moving picture of what the browser showed during a step. */
const RECORDING = "-recording.png";

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
  const isRecording = ({ filename }: Artifact) => filename.endsWith(RECORDING);
  const pictures = files.filter(isPicture);
  const step = (by: number) => {
    const to = shown === undefined ? undefined : pictures[pictures.indexOf(shown) + by];
    if (to !== undefined) setShown(to);
  };
  const others = files.filter((file) => !isPicture(file));
  return (
    <>
      {pictures.length > 0 && (
        <ul className="filmstrip">
          {pictures.map((file) => (
            <li key={file.id}>
              <button type="button" onClick={() => setShown(file)}>
                <img src={fileUrl(file.id)} alt={`${file.filename} of ${stepName(file.step)}`} loading="lazy" />
                <span className="clip">
                  {stepName(file.step)} {isRecording(file) && <span className="tag">recording</span>}
                </span>
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
          <div
            onKeyDown={({ key }) => {
              if (key === "ArrowLeft") step(-1);
              if (key === "ArrowRight") step(1);
            }}
          >
            <img className="picture" src={fileUrl(shown.id)} alt={shown.filename} />
            <p className="film-steps">
              <Button look="quiet" disabled={pictures[0] === shown} onClick={() => step(-1)} hotkey="←">
                Before
              </Button>
              <span className="number">
                {pictures.indexOf(shown) + 1} of {pictures.length}
              </span>
              <Button look="quiet" disabled={pictures.at(-1) === shown} onClick={() => step(1)} hotkey="→" autoFocus>
                Next
              </Button>
            </p>
          </div>
          <p className="hint">
            {shown.content_type}, {bytes(shown.size_bytes)}, <code>{shown.id}</code> ·{" "}
            <a href={fileUrl(shown.id)}>save</a>
          </p>
        </Dialog>
      )}
    </>
  );
}
