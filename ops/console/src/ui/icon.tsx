// A handful of line icons, 16 by 16.

const PATHS = {
  overview: "M2.5 9.5 8 3l5.5 6.5M4 8v5h8V8",
  runs: "M3 4h10M3 8h10M3 12h6",
  inbox: "M2.5 9 4.5 3h7l2 6v4h-11zM2.5 9H6l1 2h2l1-2h3.5",
  workflows: "M2.5 3.5h4v3h-4zM9.5 9.5h4v3h-4zM4.5 6.5V11h5",
  schedules: "M2.5 4h11v9.5h-11zM2.5 7h11M5.5 2.5V4M10.5 2.5V4M8 9v2l1.5 1",
  events: "M9 2 4 9h4l-1 5 5-7H8z",
  webhooks: "M6 6.5a2.5 2.5 0 1 1 3.6 2.2L12 12.5M8.5 6.2 5 11.5M3 9.5a2.5 2.5 0 1 0 3.5 2.8h6",
  bulk: "M2.5 3.5h3v3h-3zM2.5 9.5h3v3h-3zM8 5h5.5M8 11h5.5",
  tiers: "M2.5 13.5h3v-4h-3zM6.5 13.5h3v-7h-3zM10.5 13.5h3v-11h-3z",
  queues: "M8 2.5 14 5 8 7.5 2 5zM2 8l6 2.5L14 8M2 11l6 2.5 6-2.5",
  workers: "M5 5h6v6H5zM7 2.5V5M9 2.5V5M7 11v2.5M9 11v2.5M2.5 7H5M2.5 9H5M11 7h2.5M11 9h2.5",
  sandboxes: "M8 2.5 13.5 5v6L8 13.5 2.5 11V5zM2.5 5 8 7.5 13.5 5M8 7.5v6",
  subjects: "M8 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM3 13.5a5 5 0 0 1 10 0",
  tokens: "M9.5 9.5a3.5 3.5 0 1 0-3-1.7L2.5 12v1.5H5V12h1.5l.9-2.2M10.8 5.3h.01",
  audit: "M4 2.5h6L12.5 5v8.5H4zM6 7h4M6 9.5h4",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5v9l7-4.5z",
  stop: "M4 4h8v8H4z",
  retry: "M13 8a5 5 0 1 1-1.5-3.6M13 2.5V5h-2.5",
  fork: "M5 2.5v5a2 2 0 0 0 2 2h4M5 9.5v4M9 7l2.5 2.5L9 12",
  skip: "M4 3.5 9 8l-5 4.5zM12 3.5v9",
  edit: "M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3zM9.3 4.5l2.2 2.2",
  skull: "M4 8.5a4 4 0 1 1 8 0c0 1.3-.8 2-1.5 2.5v2h-5v-2C4.8 10.5 4 9.8 4 8.5ZM6.5 8h.01M9.5 8h.01",
  copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
  close: "m4 4 8 8M12 4l-8 8",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  sun: "M8 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.5 3.5l1 1M11.5 11.5l1 1M3.5 12.5l1-1M11.5 4.5l1-1",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z",
  leave: "M6.5 2.5h-4v11h4M10 5l3 3-3 3M13 8H6",
  plus: "M8 3v10M3 8h10",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.5 10.5l3 3",
  bell: "M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3zM7 14h2",
  out: "M6 3.5H3v9.5h9.5v-3M9 2.5h4.5V7M13.5 2.5 7.5 8.5",
  check: "m3 8.5 3.5 3.5L13 4.5",
  down: "m4 6 4 4 4-4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" className="logo">
      <rect width="32" height="32" rx="7" />
      <path d="M7.5 21.5a8.5 8.5 0 0 1 17 0Z" fill="#fff" />
      <rect x="6" y="23" width="20" height="2.6" rx="1.3" fill="#fff" className="plate" />
      <circle cx="16" cy="10.4" r="2" fill="#fff" />
    </svg>
  );
}
