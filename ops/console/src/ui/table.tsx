// A table of rows. The order is the server's: lists page by cursor, so that nothing is sorted here.
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useRef } from "react";

export interface Column<Row> {
  name: string;
  /** Stands in the head instead of the name. */
  head?: ReactNode;
  /** Read out, not shown: for columns of buttons. */
  hidden?: boolean;
  align?: "right";
  /** Left out where the screen is narrow. */
  wideOnly?: boolean;
  className?: string;
  cell: (row: Row) => ReactNode;
}

interface TableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  rowClass?: (row: Row) => string | undefined;
}

export function Table<Row>({ label, columns, rows, rowKey, rowClass }: TableProps<Row>) {
  return (
    <div className="table-frame" tabIndex={0} role="region" aria-label={label}>
      <table>
        <Head columns={columns} />
        <tbody>
          {rows.map((row) => (
            <Cells key={rowKey(row)} row={row} columns={columns} className={rowClass?.(row)} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface LongTableProps<Row> extends TableProps<Row> {
  rowHeight: number;
  /** What stands below the last row. */
  foot?: ReactNode;
}

/** The same of thousands of rows: only those are there that are in sight. */
export function LongTable<Row>({ label, columns, rows, rowKey, rowClass, rowHeight, foot }: LongTableProps<Row>) {
  "use no memo";
  const frame = useRef<HTMLDivElement>(null);
  // The library's object is not to be memoized, and is not: see the directive above.
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => rowHeight,
    overscan: 12,
  });
  const items = virtual.getVirtualItems();
  const above = items[0]?.start ?? 0;
  const below = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    <div className="table-frame long" ref={frame} tabIndex={0} role="region" aria-label={label}>
      <table aria-rowcount={rows.length}>
        <Head columns={columns} />
        <tbody>
          {above > 0 && <Gap height={above} columns={columns.length} />}
          {items.map(({ index }) => {
            const row = rows[index];
            if (row === undefined) return null;
            return <Cells key={rowKey(row)} row={row} columns={columns} className={rowClass?.(row)} />;
          })}
          {below > 0 && <Gap height={below} columns={columns.length} />}
        </tbody>
      </table>
      {foot}
    </div>
  );
}

/** Rows from which on a table is long: it scrolls by itself. */
const LONG_ROWS = 60;

/** One of either kind, as many rows as there are. */
export function AnyTable<Row>({ rowHeight, foot, ...table }: LongTableProps<Row>) {
  if (table.rows.length > LONG_ROWS) return <LongTable {...table} rowHeight={rowHeight} foot={foot} />;
  return (
    <>
      <Table {...table} />
      {foot}
    </>
  );
}

function Gap({ height, columns }: { height: number; columns: number }) {
  return (
    <tr aria-hidden="true" className="gap">
      <td colSpan={columns} style={{ height }} />
    </tr>
  );
}

function Head<Row>({ columns }: { columns: readonly Column<Row>[] }) {
  return (
    <thead>
      <tr>
        {columns.map((column) => (
          <th key={column.name} scope="col" className={classes(column)}>
            {column.head ?? (column.hidden === true ? <span className="read-only">{column.name}</span> : column.name)}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function Cells<Row>({
  row,
  columns,
  className,
}: {
  row: Row;
  columns: readonly Column<Row>[];
  className: string | undefined;
}) {
  return (
    <tr className={className}>
      {columns.map((column) => (
        <td key={column.name} className={classes(column)}>
          {column.cell(row)}
        </td>
      ))}
    </tr>
  );
}

function classes<Row>({ align, wideOnly, className }: Column<Row>): string {
  return [align, wideOnly === true ? "wide-only" : "", className].filter(Boolean).join(" ");
}
