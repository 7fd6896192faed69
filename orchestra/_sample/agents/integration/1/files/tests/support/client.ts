export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Client {
  get(url: string): Promise<Answer>;
  post(url: string, body?: unknown): Promise<Answer>;
  patch(url: string, body: unknown, ifMatch: number): Promise<Answer>;
}
