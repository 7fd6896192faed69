export interface Sample {
  readonly method: string;
  readonly route: string;
  readonly status: number;
}

export class RequestCounter {
  private readonly counts = new Map<string, number>();

  record(sample: Sample): void {
    const key = `method="${sample.method}",route="${sample.route}",status="${sample.status}"`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  render(): string {
    return [...this.counts].map(([labels, count]) => `http_requests_total{${labels}} ${count}`).join("\n");
  }
}
