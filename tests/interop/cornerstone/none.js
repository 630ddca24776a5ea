// In place of the modules of Node that the packages name and no browser needs.
export class EventEmitter {}
